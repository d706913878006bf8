"""The masks and weights of an experiment's tickets, round by round, as images, histograms and tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.kept import Kept, Network
from npticket.params import Params
from npticket.protocols import Net
from npticket.report.html import charts, images, numbers
from npticket.report.html.markup import Markup, joined, section, table, tag
from npticket.report.html.numbers import Spread

UNITS, FILTERS = 12, 32  # units, or filters, of the first layer that are shown


@dataclass
class Round:
    """The networks of one round, by trial; at least one."""

    number: int
    networks: Mapping[int, Network]
    masks: Sequence[Params] = field(init=False)

    def __post_init__(self) -> None:
        self.masks = [network.masks for network in self.networks.values()]

    @property
    def density(self) -> float:
        """The fraction of the weights that survive, the mean over trials."""
        left = sum(int(mask[name].sum()) for mask in self.masks for name in mask.weights)
        return left / sum(mask[name].size for mask in self.masks for name in mask.weights)

    def survivors(self, name: str) -> np.ndarray:
        """Return the number of a layer's survivors (T,)."""
        return np.array([mask[name].sum() for mask in self.masks])


def loaded(kept: Kept, numbers: Sequence[int], trials: int) -> Iterator[Round]:
    """Yield rounds, read one at a time, with at most so many trials each; rounds without a network are left out."""
    for number in numbers:
        found = {trial: kept.network(number, trial) for trial in kept.trials(number)[:trials]}
        networks = {trial: network for trial, network in found.items() if network is not None}
        if networks:
            yield Round(number, networks)


class First:
    """Shows the first layer of a network: its inputs and units if it is dense, or its filters.

    `units` are the same in all rounds: those that have most survivors in the `last` round, in its first trial.
    """

    def __init__(self, net: Net, last: Round) -> None:
        masks = last.masks[0]
        self.name, self._shape = masks.weights[0], tuple(net.input_shape)
        shape = masks.shapes[self.name]
        self.is_dense = len(shape) == 2 and shape[0] == math.prod(self._shape)
        self.is_conv = len(shape) == 4
        count = FILTERS if self.is_conv else UNITS
        self.units = numbers.strongest(masks[self.name][0], count) if self.is_dense or self.is_conv else []

    def shown(self, round: Round) -> Markup:
        """Show it in one round: what is left of every input, and the units or filters of the first trial."""
        trial, network = next(iter(round.networks.items()))
        parts = [self._inputs(round)] if self.is_dense else []
        if self.units:
            parts.append(self._units(network, trial))
        return joined(parts)

    def _inputs(self, round: Round) -> Markup:
        parts = {trial: self._laid_out(n.masks[self.name][0].mean(axis=1)) for trial, n in round.networks.items()}
        most = max(float(part.max()) for part in parts.values())
        shown = [
            tag("figure", images.image(images.heat(part, most), f"weights left of each input, trial {trial}", "inks"),
                tag("figcaption", f"trial {trial}"))
            for trial, part in parts.items()
        ]  # fmt: skip
        text = f"The stronger the colour, the more of an input's weights are left: at most {percent(most)}."
        return section("Which inputs survive", tag("p", text, class_="note"), tag("div", shown, class_="row"), level=4)

    def _units(self, network: Network, trial: int) -> Markup:
        mask, rows = network.masks[self.name][0], [("initial values", network.theta0)]
        if network.end is not None:
            rows.append(("after training", network.end))
        what = "filters" if self.is_conv else "units"
        looks = "by the sign of their value, blue above 0, yellow below"
        if self._in_colours(mask):
            looks = "as red, green and blue; grey is 0"
        kept = f"The {len(self.units)} {what} of {self.name} that keep most weights to the last round, trial {trial}"
        text = f"{kept}: survivors {looks}."
        shown = []
        for words, values in rows:
            those = [self._picture(np.where(mask, values[self.name][0], 0)[..., unit], unit) for unit in self.units]
            shown += [tag("p", words, class_="note"), tag("div", those, class_=f"row {what}")]
        return section(f"The strongest {what}", tag("p", text, class_="note"), *shown, level=4)

    def _picture(self, values: np.ndarray, unit: int) -> Markup:
        if self._in_colours(values[..., None]):
            return images.image(images.colours(values), f"filter {unit}", "plain")
        laid_out = values.sum(axis=-1) if self.is_conv else self._laid_out(values)
        return images.image(images.signs(laid_out), f"{'filter' if self.is_conv else 'unit'} {unit}", "plain")

    def _in_colours(self, weights: np.ndarray) -> bool:
        return self.is_conv and weights.shape[-2] == 3

    def _laid_out(self, values: np.ndarray) -> np.ndarray:
        """Values of inputs as an image (H, W), the mean over channels; inputs without rows become one row."""
        shape = self._shape if len(self._shape) > 1 else (1, *self._shape)
        return values.reshape(*shape[:2], -1).mean(axis=-1)


def survivors(round: Round) -> Markup:
    """Return a table of layers: what is left of each, and how much of that two trials have in common."""
    rows = []
    for name in round.masks[0].weights:
        left, shared = round.survivors(name), numbers.shared(round.masks, name)
        size = round.masks[0][name].size
        parts = [percent(each.mean()) if each.size else "-" for each in shared]
        rows.append([name, f"{size:,}", f"{left.mean():,.0f}", percent(left.mean() / size), *parts])
    heads = ["layer", "weights", "survive", "", "shared by two trials", "by chance", "by chance, given the inputs'"]
    return table(heads, rows)


def values(round: Round) -> Markup:
    """Draw histograms for each layer: initial values of all weights, and of survivors; trained values if kept."""
    drawn, ticks = [], {edge: f"{edge:g}" for edge in (-numbers.EDGE, 0.0, numbers.EDGE)}
    for name in round.masks[0].weights:
        there = _spreads(round, name)
        beyond = there["end"].beyond if "end" in there else 0
        title = name + (f": {percent(beyond)} of the trained ones lie beyond" if beyond else "")
        bars = {look: each.bars for look, each in there.items()}
        drawn.append(charts.histogram(bars, ticks, f"values of {name}", title))
    return joined(drawn)


def _spreads(round: Round, name: str) -> dict[str, Spread]:
    """The histograms of a layer, by their look in style.CSS."""
    networks = list(round.networks.values())
    masks = [network.masks[name][0] for network in networks]
    initial = [network.theta0[name][0] for network in networks]
    trained = [network.end[name][0] for network in networks if network.end is not None]
    found = {"all": [each.ravel() for each in initial]}
    found["start"] = [each[mask] for each, mask in zip(initial, masks, strict=True)]
    if len(trained) == len(networks):
        found["end"] = [each[mask] for each, mask in zip(trained, masks, strict=True)]
    scales = [float(each.std()) or 1.0 for each in initial]
    spreads = {look: numbers.spread(each, scales) for look, each in found.items()}
    return {look: each for look, each in spreads.items() if each is not None}


def degrees(round: Round) -> Markup:
    """Draw histograms for each layer of how many connections its units, and its inputs, have left."""
    drawn = []
    for name in round.masks[0].weights:
        units, inputs = numbers.degrees(round.masks, name)
        most = max(float(each.fractions.max()) for each in (units, inputs))
        none = [
            f"{int((each.fractions == 0).sum()):,} of {each.fractions.size:,} {what} have none"
            for each, what in ((units, "units"), (inputs, "inputs"))
            if not each.fractions.all()
        ]
        ticks, bars = {0.0: "0", most: percent(most)}, {"start": units.bars, "end": inputs.bars}
        drawn.append(charts.histogram(bars, ticks, f"connections left in {name}", "; ".join([name, *none])))
    return joined(drawn)
