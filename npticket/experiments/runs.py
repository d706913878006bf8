"""One training run of an experiment: from its place among the others (series, round, trials) to what is kept of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from npticket import backend, controls
from npticket.datasets import Dataset, FlipAndCrop
from npticket.nets import Net
from npticket.params import Params, stack
from npticket.prune import dense_masks, density
from npticket.recipe import Recipe, RecipeError, make_net, make_optimizer
from npticket.store import Key
from npticket.streams import streams
from npticket.tables import CURVES, RESULTS, family
from npticket.tickets import rewind
from npticket.train import fit

TICKET, FINE_TUNING, REWIND_POINT = "winning_ticket", "fine_tuning", "rewind_point"
CHAINS = (TICKET, FINE_TUNING)  # whose rounds follow from one another
HANG_ON_TICKETS: dict[str, Callable[..., controls.Start]] = {
    "random_reinit": controls.random_reinit,
    "random_mask": controls.random_mask,
    "shuffled": controls.shuffled,
    "survivor_reinit": controls.survivor_reinit,
    "noise": controls.noisy,
}
FROM_DENSE = ("one_shot", "one_shot_reinit")
OTHERS = ("continued_training", "pruned_at_init")
FRESH = ("random_reinit", "random_mask", "one_shot_reinit")  # start from new values, not from the rewind point


def check_series(recipe: Recipe) -> None:
    """Raise RecipeError for a series that nobody knows, or one whose chain is not there."""
    known = (*CHAINS, *HANG_ON_TICKETS, *FROM_DENSE, *OTHERS)
    for series in recipe.series:
        if _kind(series) not in known or series == "noise":
            raise RecipeError(f"there is no series {series!r}; there are {', '.join(known)} (noise_0.5, noise_1 ...)")
    if "continued_training" in recipe.series and FINE_TUNING not in recipe.series:
        raise RecipeError("the series continued_training takes its masks from fine_tuning, which is not among them")


def keys(recipe: Recipe) -> list[Key]:
    """All runs of an experiment. Controls begin with round 1: the dense network is the winning ticket's round 0."""
    runs = [Key(REWIND_POINT, 0, t) for t in range(recipe.trials) if recipe.rewind_step]
    for round in range(recipe.rounds):
        for series in recipe.series:
            if round or series == TICKET:
                runs.extend(Key(series, round, t) for t in range(recipe.trials))
    return runs


def needs(recipe: Recipe, key: Key) -> dict[str, tuple[Key, str]]:
    """What a run takes from earlier ones: by its own name for it, the run and the array."""
    series, round, trial = key
    kind, needed = _kind(series), {}
    if recipe.rewind_step and kind not in (*FRESH, REWIND_POINT, FINE_TUNING) and not (kind == TICKET and not round):
        needed["rewind_point"] = (Key(REWIND_POINT, 0, trial), "end")
    chain = FINE_TUNING if kind in (FINE_TUNING, "continued_training") and round > 1 else TICKET
    if kind in FROM_DENSE:
        needed["end"] = (Key(TICKET, 0, trial), "end")
    elif kind == FINE_TUNING:
        needed["end"] = (Key(chain, round - 1, trial), "end")
        needed["masks"] = (Key(chain, round - 1, trial), "masks")
    elif round and kind not in ("pruned_at_init", REWIND_POINT):
        needed["masks"] = (Key(chain, round - 1, trial), "next_masks")
    return needed


def keeps(recipe: Recipe, key: Key) -> set[str]:
    """What of a run later ones need, besides what is measured."""
    if key.series == REWIND_POINT:
        return {"end"}
    if key.series not in CHAINS or key.round == recipe.rounds - 1:
        return set()
    from_dense = {_kind(series) for series in recipe.series} & {*FROM_DENSE, FINE_TUNING}
    return {"next_masks", "end"} if key.series == FINE_TUNING or (not key.round and from_dense) else {"next_masks"}


def length(recipe: Recipe, key: Key) -> tuple[int, int]:
    """The steps between which a run trains: those that took its starting point, and those at its end."""
    first = recipe.rewind_step if "rewind_point" in needs(recipe, key) else 0
    return first, recipe.rewind_step if key.series == REWIND_POINT else recipe.steps


def train_run(
    recipe: Recipe,
    data: Dataset | Callable[[], Dataset],
    keys: Sequence[Key],
    given: Sequence[Mapping[str, np.ndarray]],
    *,
    array_module: str = "numpy",
    engine: str = "fast",
    threads: int = 1,
) -> list[dict[str, np.ndarray]]:
    """Train runs of the same round and length in lock-step, and return what the store keeps of each.

    `given` has for each what `needs` asks for, masks as packed bits.
    """
    net = make_net(recipe)
    xp = backend.load(array_module)
    starts = [_start(recipe, net, key, arrays) for key, arrays in zip(keys, given, strict=True)]
    start, masks = (stack(parts) for parts in zip(*starts, strict=True))
    on_device = [params.like(backend.to_device(params.flat, xp)) for params in (start, masks)]
    first_step, steps = length(recipe, keys[0])
    result = fit(
        net,
        *on_device,
        data if isinstance(data, Dataset) else data(),
        optimizer=make_optimizer(recipe, first_step),
        steps=steps,
        first_step=first_step,
        batch=recipe.batch,
        validate_every=recipe.validate_every,
        test_at=[step for step in recipe.test_at if first_step < step <= steps],
        augment=FlipAndCrop.draw if recipe.augment else None,
        seed=recipe.seed,
        trials=[key.trial for key in keys],
        round=keys[0].round,
        engine=engine,
        threads=threads,
    )
    end = start.like(backend.to_host(result.end.flat))
    kept = [keeps(recipe, key) for key in keys]
    next_masks = net.prune(end, masks) if any("next_masks" in what for what in kept) else None
    return [
        record(result, t, masks, next_masks if "next_masks" in what else None, end if "end" in what else None)
        for t, what in enumerate(kept)
    ]


def record(
    result: Any, t: int, masks: Params, next_masks: Params | None = None, end: Params | None = None
) -> dict[str, np.ndarray]:
    """What the store keeps of row `t` of a Fit: measured numbers, curves, masks as packed bits."""
    run = {name: np.asarray(getattr(result, name)[t]) for name in RESULTS if hasattr(result, name)}
    run |= {name: getattr(result, name)[t] for name in CURVES[4:]}
    run |= {"at_steps": result.at_steps, "steps": result.at_steps[-1], "density": density(masks)[t]}
    run["masks"] = np.packbits(masks.flat[t])
    if next_masks is not None:
        run["next_masks"] = np.packbits(next_masks.flat[t])
    if end is not None:
        run["end"] = end.flat[t]
    return {name: np.asarray(value) for name, value in run.items()}


def _start(recipe: Recipe, net: Net, key: Key, given: Mapping[str, np.ndarray]) -> controls.Start:
    """Where a run starts, and its masks."""
    series, round, trial = key
    theta0 = net.init(streams(recipe.seed, [trial], "init"))
    size = theta0.flat.shape[1]
    if "rewind_point" in given:
        theta0 = theta0.like(given["rewind_point"][None])
    masks = dense_masks(theta0)
    if "masks" in given:
        masks = masks.like(np.unpackbits(given["masks"], count=size).astype(bool)[None])
    end = theta0.like(given["end"][None]) if "end" in given else None
    rngs = streams(recipe.seed, [trial], series.replace("random_reinit", "reinit"), round)
    kind = _kind(series)
    if kind in (TICKET, REWIND_POINT):
        return rewind(theta0, masks), masks
    if kind == FINE_TUNING:
        return controls.fine_tuned(net, end, masks)
    if kind == "continued_training":
        return controls.continued(theta0, masks)
    if kind == "pruned_at_init":
        return controls.pruned_at_init(net, theta0, round)
    if kind == "one_shot":
        return controls.one_shot(net, theta0, end, round)
    if kind == "one_shot_reinit":
        return controls.one_shot_reinit(net, theta0, end, round, rngs)
    sigmas = {"sigmas": float(series.removeprefix("noise_"))} if kind == "noise" else {}
    return HANG_ON_TICKETS[kind](net, theta0, masks, rngs, **sigmas)


def _kind(series: str) -> str:
    """The sort of a series: random_reinit of random_reinit_2, noise of noise_0.5."""
    name, _, number = series.rpartition("_")
    if name == "noise" and number.replace(".", "", 1).isdigit():
        return name
    return family(series)
