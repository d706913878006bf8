"""Recipes as they were written before their parts had names: turned into what they would be now."""

from collections.abc import Mapping

from npticket.backend import Json

_CONV = {"conv*/W": 0.1, "fc*/W": 0.2, "out/W": 0.1}
_RESIDUAL = {"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2}
RATES: Mapping[str, Mapping[str, float]] = {  # what a network prescribed, which a recipe did not repeat
    "lenet_300_100": {"fc*/W": 0.2, "out/W": 0.1}, "conv_2": _CONV, "conv_4": _CONV,
    "conv_6": {**_CONV, "conv*/W": 0.15}, "resnet": _RESIDUAL, "resnet_18": _RESIDUAL,
    "vgg_19": {"out/W": 0, "*/W": 0.2},
}  # fmt: skip
GLOBALLY = ("resnet", "resnet_18", "vgg_19")
OLD = {"net_options", "lr", "momentum", "weight_decay", "drops", "warmup", "rates", "pruned_globally"}


def converted(values: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the JSON of a recipe in its present form; what is neither the old form nor right is left as it is."""
    net, given = values.get("net"), values.get
    options, rates = given("net_options") or {}, given("rates") or {}
    if not (isinstance(net, str) and isinstance(options, Mapping) and isinstance(rates, Mapping)):
        return values
    optimizer: dict[str, Json] = {"name": given("optimizer"), "lr": given("lr")}
    optimizer |= {name: given(name) for name in ("momentum", "weight_decay") if given(name)}
    schedule = {"name": "constant"} | ({"warmup": given("warmup")} if given("warmup") else {})
    if given("drops"):
        schedule = {"name": "step_drops", "drops": given("drops"), "warmup": given("warmup", 0)}
    prune: dict[str, Json] = {"name": "magnitude", "rates": rates or dict(RATES.get(net, {}))}
    globally = net in GLOBALLY if given("pruned_globally") is None else given("pruned_globally")
    if globally or net in GLOBALLY:
        prune["scope"] = "globally" if globally else "layerwise"
    return {
        **{name: value for name, value in values.items() if name not in OLD},
        "net": {"name": net, **options},
        "data": {"name": given("data")}, "optimizer": optimizer, "schedule": schedule, "prune": prune,
        "augment": {"name": "flip_and_crop"} if given("augment") else None,
    }  # fmt: skip
