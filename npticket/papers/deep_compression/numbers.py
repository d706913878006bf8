"""The numbers that claims are about, computed from the rows that were measured for one trial."""

from collections.abc import Callable, Sequence

from npticket.experiments.tables import Row
from npticket.papers.deep_compression.measures import ALL, CODED, DENSE, PRUNED, QUANTISED
from npticket.papers.deep_compression.recipes import LENET, LENET_5
from npticket.papers.deep_compression.series import ABLATION, COMPRESSED, TICKET_FILE
from npticket.report.comparisons import Number
from npticket.report.intervals import Numbers
from npticket.report.views import View

LAST = {LENET.name: 8.2, LENET_5.name: 8.4}  # percent of the weights in the last round of tickets, by which it is known
Of = Callable[[Sequence[Row]], float]


def row(rows: Sequence[Row], **what: str | int) -> Row:
    """Return the one row with these values."""
    (found,) = (each for each in rows if all(each[name] == value for name, value in what.items()))
    return found


def kilobytes(stage: str, layer: str = ALL) -> Of:
    """The size of a layer at a stage, in KB of 1,000 bytes."""
    return lambda rows: row(rows, stage=stage, layer=layer)["bytes"] / 1000


def times_smaller(stage: str) -> Of:
    """How many times smaller the weights are than with 32 bits each."""
    return lambda rows: kilobytes(DENSE)(rows) / kilobytes(stage)(rows)


def error(stage: str) -> Of:
    """The error at a stage, in percent."""
    return lambda rows: 100 * row(rows, stage=stage, layer=ALL)["error"]


def more(stage: str, other: str) -> Of:
    """How many points the error is above that of another stage."""
    return lambda rows: error(stage)(rows) - error(other)(rows)


def fewer(rows: Sequence[Row]) -> float:
    """The weights of the dense network divided by those kept."""
    pruned = row(rows, stage=PRUNED, layer=ALL)
    return pruned["weights"] / pruned["kept"]


def saved(rows: Sequence[Row]) -> float:
    """How much of the size Huffman codes save, in percent."""
    return 100 * (1 - kilobytes(CODED)(rows) / kilobytes(QUANTISED)(rows))


def share_of(layer: str) -> Of:
    """The size of a layer, in percent of its 32-bit weights."""
    return lambda rows: 100 * kilobytes(CODED, layer)(rows) / kilobytes(DENSE, layer)(rows)


def column(name: str, layer: str) -> Of:
    """A column of a layer's row after Huffman coding."""
    return lambda rows: float(row(rows, stage=CODED, layer=layer)[name])


def at_the_last(recipe: str, of: Of) -> Number:
    """A number of the last round's network."""
    return lambda v: v.measured(COMPRESSED, LAST[recipe], of)


def with_bits(v: View, bits: int, start: str = "linear", pruned: bool = True, what: str = "error") -> Numbers:
    """The error, in percent, of LeNet-300-100 with so many bits a value, pruned or dense."""
    percent = LAST[LENET.name] if pruned else 100
    return v.measured(ABLATION, percent, lambda rows: 100 * row(rows, start=start, bits=bits)[what])


def of_ticket(recipe: str, of: Of) -> Number:
    """A number of the file of the last round's ticket."""
    return lambda v: v.measured(TICKET_FILE, LAST[recipe], of)
