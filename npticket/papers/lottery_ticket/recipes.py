"""The paper's experiments as named recipes, each with its source (Frankle & Carbin 2019, Figure 2 for the settings)."""

from collections.abc import Mapping
from dataclasses import replace

from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket.series import TICKET
from npticket.report.sweeps import Sweep

BOTH = (TICKET, "random_reinit")
CONTINUED = (TICKET, "fine_tuning", "continued_training")
INITS = (*BOTH, "noise_0.5", "noise_1", "noise_2", "noise_3", "survivor_reinit", "shuffled", "pruned_at_init")
DENSE = ("dense_2", "dense_3", "dense_4", "dense_5")
CONTROLS = (*BOTH, "random_reinit_2", "random_reinit_3", "random_mask", "random_mask_2")


def _dense_layers(rate: float) -> dict[str, float]:
    """A rate for the dense layers, half of it for the output layer."""
    return {"fc*/W": rate, "out/W": rate / 2}


def _convolutions(rate: float) -> Part:
    """Prune convolutions at `rate`, and dense layers at the paper's rates."""
    return Part("magnitude", rates={"conv*/W": rate, **_dense_layers(0.2)})


def _late(steps: int) -> tuple[int, ...]:
    """The steps in the last tenth of training after which the training set is measured, besides the last one."""
    return tuple(steps * percent // 100 for percent in (92, 94, 96, 98))


def _deep(recipe: Recipe, name: str, source: str, lr: float, drops: tuple[int, int], warmup: int = 0) -> Recipe:
    """The recipe with SGD at `lr`, and a tenth of it after the first of `drops`, a hundredth after the second."""
    schedule = Part("step_drops", drops=[[drops[0], lr / 10], [drops[1], lr / 100]], warmup=warmup)
    optimizer = Part("sgd", lr=lr, momentum=0.9, weight_decay=1e-4)
    return replace(recipe, name=name, source=source, optimizer=optimizer, schedule=schedule)


def _sweep(name: str, source: str, label: str, values: Mapping[str, Recipe]) -> Sweep:
    """Name the recipes of a sweep after it; sweeps have 3 trials and the winning ticket alone."""
    recipes = {
        key: replace(recipe, name=f"{name}-{key.replace(' ', '-')}", source=source, trials=3, series=(TICKET,))
        for key, recipe in values.items()
    }
    return Sweep(name, source, label, recipes)


# fmt: off
LENET = Recipe(
    name="lenet-mnist", source="Figures 1, 3, 4, 11, 12, 14, 15, 19, 21, 23", net=Part("lenet_300_100"),
    data=Part("mnist"), optimizer=Part("adam", lr=1.2e-3), prune=Part("magnitude", rates=_dense_layers(0.2)),
    batch=60, steps=50_000, rounds=29, train_at=_late(50_000), series=(*CONTROLS, *DENSE, "weights"),
)
CONV_2 = Recipe(
    name="conv2-cifar10", source="Figures 1, 5, 13, 14", net=Part("conv_2"), data=Part("cifar10"),
    optimizer=Part("adam", lr=2e-4), prune=_convolutions(0.1),
    batch=60, steps=20_000, rounds=22, train_at=_late(20_000), series=CONTROLS,
)
CONV_4 = replace(CONV_2, name="conv4-cifar10", net=Part("conv_4"),
    optimizer=Part("adam", lr=3e-4), steps=25_000, train_at=_late(25_000), rounds=25)
CONV_6 = replace(CONV_4, name="conv6-cifar10", net=Part("conv_6"), prune=_convolutions(0.15), steps=30_000,
    train_at=_late(30_000))
CONVS = {2: CONV_2, 4: CONV_4, 6: CONV_6}
# No claim about the others is about the training set, which in the above is evaluated five times a run.
UNFITTED = {depth: replace(conv, train_at=(), train_at_end=False) for depth, conv in CONVS.items()}

RESNET_18 = replace(
    CONV_2, net=Part("resnet_18"), augment=Part("flip_and_crop"),
    # All convolutions together, without the output layer and the shortcuts (section 4).
    prune=Part("magnitude", scope="globally", rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2}),
    batch=128, steps=30_000, rounds=15, validate_every=500, test_at=(10_000, 20_000, 30_000),
    train_at=(), train_at_end=False, series=BOTH)
RESNET_18_HIGH = _deep(RESNET_18, "resnet18-high", "Figure 8, left", 0.1, (20_000, 25_000))
RESNET_18_LOW = _deep(RESNET_18, "resnet18-low", "Figure 8, middle", 0.01, (20_000, 25_000))
RESNET_18_WARMUP = _deep(RESNET_18, "resnet18-warmup", "Figure 8, right", 0.03, (20_000, 25_000), warmup=20_000)
VGG_19 = replace(
    RESNET_18, net=Part("vgg_19"), prune=Part("magnitude", scope="globally", rates={"out/W": 0, "*/W": 0.2}),
    batch=64, steps=112_480, rounds=31, test_at=(30_000, 60_000, 112_480))  # 160 epochs
VGG_19_HIGH = _deep(VGG_19, "vgg19-high", "Figure 7, left", 0.1, (56_240, 84_360))
VGG_19_LOW = _deep(VGG_19, "vgg19-low", "Figure 7, middle", 0.01, (56_240, 84_360))
VGG_19_WARMUP = _deep(VGG_19, "vgg19-warmup", "Figure 7, right", 0.1, (56_240, 84_360), warmup=10_000)

RECIPES = {recipe.name: recipe for recipe in (
    LENET,
    replace(LENET, name="lenet-one-shot", source="Figure 4c", series=(*BOTH, "one_shot", "one_shot_reinit", *DENSE)),
    replace(LENET, name="lenet-continued", source="Figure 9", series=(*CONTINUED, *DENSE)),
    replace(LENET, name="lenet-inits", source="Figures 17, 18, 25", series=(*INITS, *DENSE)),
    replace(LENET, name="lenet-inits-sgd", source="Figures 16, 17, 18, 20, 22, 24", optimizer=Part("sgd", lr=0.8),
            series=(*BOTH, "survivor_reinit", "pruned_at_init", *DENSE, "weights")),
    *CONVS.values(),
    *(replace(conv, name=f"conv{depth}-continued", source="Figure 10", series=CONTINUED)
      for depth, conv in UNFITTED.items()),
    *(replace(conv, name=f"conv{depth}-dropout", source="Figure 6", net=conv.net.having(dropout=0.5),  # appendix H.5
              optimizer=Part("adam", lr=3e-4 if depth == 2 else 2e-4), steps=3 * conv.steps, series=BOTH)
      for depth, conv in UNFITTED.items()),
    RESNET_18_LOW, RESNET_18_HIGH, RESNET_18_WARMUP,
    VGG_19_LOW, VGG_19_HIGH, VGG_19_WARMUP,
)}

SWEEPS = {sweep.name: sweep for sweep in (
    _sweep("lenet-adam", "Figure 26", "Adam's learning rate", {
        f"{lr:g}": replace(LENET, optimizer=Part("adam", lr=lr))
        for lr in (2.5e-5, 5e-5, 2e-4, 8e-4, 1.2e-3, 2e-3, 3.2e-3, 6.4e-3)}),
    _sweep("lenet-sgd", "Figure 27", "SGD's learning rate", {
        f"{lr:g}": replace(LENET, optimizer=Part("sgd", lr=lr))
        for lr in (0.003125, 0.00625, 0.0125, 0.025, 0.1, 0.4, 0.8, 1.2)}),
    _sweep("lenet-momentum", "Figure 28", "learning rate at momentum 0.9", {
        f"{lr:g}": replace(LENET, optimizer=Part("sgd", lr=lr, momentum=0.9))
        for lr in (0.003125, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)}),
    _sweep("lenet-prune-rate", "Figure 29", "pruned per round", {
        f"{rate:g}": replace(LENET, prune=Part("magnitude", rates=_dense_layers(rate)), rounds=rounds)
        for rate, rounds in ((0.1, 45), (0.2, 22), (0.4, 11), (0.6, 7), (0.8, 4))}),  # to 1 % of the weights
    _sweep("lenet-init", "Figure 30", "initial standard deviation", {
        "Glorot": LENET,
        **{f"{s:g}": replace(LENET, net=LENET.net.having(std=s)) for s in (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)}}),
    _sweep("lenet-width", "Figure 31", "hidden units", {
        f"{a} {b}": replace(LENET, net=LENET.net.having(hidden=[a, b]))
        for a, b in ((25, 9), (50, 17), (100, 34), (150, 50), (200, 67), (300, 100), (400, 134), (500, 167),
                     (700, 233), (900, 300))}),
    *(_sweep(f"conv{depth}-rate", "Figure 35", "pruned per round in convolutions", {
        f"{rate:g}": replace(conv, prune=_convolutions(rate)) for rate in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)})
      for depth, conv in UNFITTED.items()),
    *(_sweep(f"conv{depth}-layers", "Figure 37", "layers pruned", {
        "both": conv,
        "convolutions": replace(conv, prune=Part("magnitude", rates={"conv*/W": 0.15 if depth == 6 else 0.1})),
        "dense": replace(conv, prune=Part("magnitude", rates=_dense_layers(0.2)))})
      for depth, conv in UNFITTED.items()),
    *(_sweep(f"{net}-scope", source, "pruned", {
        "globally": deep, "layer by layer": replace(deep, prune=deep.prune.having(scope="layerwise"))})
      for net, source, deep in (("vgg19", "Figure 38", VGG_19_WARMUP), ("resnet18", "Figure 39", RESNET_18_WARMUP))),
    *(_sweep(f"{net}-warmup-length", source, "steps of warm-up", {
        f"{k}": replace(deep, schedule=deep.schedule.having(warmup=k)) for k in steps})
      for net, source, deep, steps in (
        ("resnet18", "Figure 44", RESNET_18_WARMUP, (0, 500, 1_000, 5_000, 10_000, 20_000)),
        ("vgg19", "Figure 45", VGG_19_WARMUP, (0, 1_000, 5_000, 10_000, 20_000, 50_000)))),
)}
