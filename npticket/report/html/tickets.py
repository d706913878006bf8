"""The section of a page about an experiment's tickets: how layers are pruned, and a slider over rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.kept import Kept
from npticket.experiments.outcome import Outcome, Point
from npticket.protocols import Net
from npticket.report.html import numbers, rounds
from npticket.report.html.drawings import Layers, by_layer, figures
from npticket.report.html.markup import Markup, section, tag
from npticket.report.html.rounds import First, Round

TRIALS = 5  # that are read, at most
VALUES = {"all": "all initial values", "start": "survivors' initial values", "end": "theirs after training"}
UNITS = {"start": "into the layer's units", "end": "out of its inputs"}
SHARED = (
    "Of one trial's survivors, which part another trial has too; by chance, if as many were drawn anywhere; given the "
    "inputs', if as many were drawn of each input's weights."
)


@dataclass(frozen=True)
class Tickets:
    """The section about the networks of an outcome's first series, at most `most_rounds` of them.

    Ids in the page begin with `name`.
    """

    net: Net
    kept: Kept
    outcome: Outcome
    points: Sequence[Point]
    most_rounds: int
    name: str

    def shown(self) -> Markup:
        """Return the section, or a sentence that says why there is nothing to show."""
        there = [point.round for point in self.points if self.kept.trials(point.round)]
        spread = np.linspace(0, max(len(there) - 1, 0), min(len(there), self.most_rounds)).round().astype(int)
        chosen = [there[i] for i in spread]
        last = next(rounds.loaded(self.kept, chosen[::-1], TRIALS), None)
        if last is None:
            why = "Masks and weights are in the files of runs, which are not here, or whose series is not known here."
            return section("The tickets themselves", tag("p", why, class_="note"), level=3, name=f"{self.name}-tickets")
        first, layers, parts = First(self.net, last), list[Layers](), list[Markup]()
        for round in rounds.loaded(self.kept, chosen, TRIALS):
            layers.append(_layers(round))
            parts.append(self._round(round, first, is_open=not parts))
        count = len(last.masks)
        said = f"Of {'trial 0' if count == 1 else f'{count} trials'}; {len(parts)} of {len(self.points)} rounds."
        if not any(point.size for layer in layers for point in layer.shared.values()):
            said += " With one trial, nothing can be shared."
        try:
            drawn = list(figures(by_layer(self.outcome, self.points, layers), self.name))
        except ImportError:  # the page says so already
            drawn = []
        box = tag("div", self._slider(len(parts)), parts, class_="rounds")
        return section(
            "The tickets themselves", tag("p", said, class_="note"), drawn, box, level=3, name=f"{self.name}-tickets"
        )

    def _slider(self, count: int) -> Markup:
        """The slider, which is hidden unless the script runs: without it each round can be opened by itself."""
        name = f"{self.name}-round"
        handle = tag("input", type="range", id=name, min="0", max=str(count - 1), value="0")
        said = tag("output", for_=name)
        return tag("div", tag("label", "Slide through the rounds: ", said, for_=name), handle,
                   class_="slider", hidden=True)  # fmt: skip

    def _round(self, round: Round, first: First, is_open: bool) -> Markup:
        parts = [
            tag("p", SHARED, class_="note") if len(round.masks) > 1 else "",
            rounds.survivors(round),
            first.shown(round),
            section("Values", self._values(round), level=4),
            section("Connections that units have left", _keys(UNITS), _row(rounds.degrees(round)), level=4),
        ]
        return tag(
            "details",
            tag("summary", f"Round {round.number}: {percent(round.density)} of the weights"),
            parts,
            open=is_open,
        )

    def _values(self, round: Round) -> list[Markup]:
        said, looks = "In standard deviations of the layer's initial values.", dict(VALUES)
        if any(network.end is None for network in round.networks.values()):
            said += " Trained values were not kept."
            del looks["end"]
        return [tag("p", said, class_="note"), _keys(looks), _row(rounds.values(round))]


def _row(parts: Markup) -> Markup:
    return tag("div", parts, class_="row")


def _layers(round: Round) -> Layers:
    left, shared = {}, {}
    for name in round.masks[0].weights:
        left[name] = round.survivors(name) / round.masks[0][name].size
        found = numbers.shared(round.masks, name)
        shared[name] = found.found / found.by_chance
    return Layers(round.number, left, shared)


def _keys(looks: Mapping[str, str]) -> Markup:
    """The key to the lines of histograms, by their look."""
    keys = [tag("span", tag("span", class_=f"key {look}"), words) for look, words in looks.items()]
    return tag("p", keys, class_="note keys")
