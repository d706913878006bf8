"""What is claimed about pruning before training: of each method by its authors, of all by Frankle et al. 2021.

What Frankle et al. say of all networks is asked of their ResNet-20, in claims whose ids begin with resnet20, of LeNet,
and of a small ResNet-8 in a short training, whose ids begin with resnet8. Except for LeNet-300-100 in Lee et al. 2019
the other papers have other networks: only the directions of their claims are asked. Accuracies are those at the end of
training. Percentages after "at" are weights remaining.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.claims.words import END, POINTS, TICKET, TIMES, better, worse
from npticket.papers.pruning_at_init.series import LAYERS
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, past_half
from npticket.report.intervals import Numbers
from npticket.report.views import View

SHORT = {"snip": "SNIP", "grasp": "GraSP", "synflow": "SynFlow", "magnitude_at_init": "magnitude at initialisation"}
DENSITY = 6.9  # where the methods are told apart
THIS, FRANKLE, TANAKA = ("at-init-lenet",), "Frankle et al. 2021", "Tanaka et al. 2020"
RESNET, SMALL = "at-init-resnet20", "at-init-resnet8"
LARGER = 16.8  # ResNet-8 has too few weights for DENSITY
claim = partial(Claim, THIS)
more = partial(better, THIS)


def compression(method: str) -> Callable[[View], Numbers]:
    """Return the compression that a method reaches with weights in every layer, divided by the most that is possible.

    That is a number of at most 1, as in Tanaka et al. 2020.
    """

    def reached(rows: Sequence[Row]) -> float:
        mine = [row for row in rows if row["method"] == method]
        gone = max((row["weights"] for row in mine if not row["left"]), default=0)
        return min(row["weights"] for row in mine) / min(row["weights"] for row in mine if row["weights"] > gone)

    return lambda view: view.measured(LAYERS, 100, reached)


# fmt: off
def _methods(recipe: str, mark: str, density: float = DENSITY) -> Iterator[Claim]:
    """The claims of Frankle et al. about the methods' accuracy; `mark` begins the ids."""
    for method, name in SHORT.items():
        yield better((recipe,), f"{mark}init-{method}-over-random",
            f"at {density} % {name} is more accurate than random pruning",
            f"{FRANKLE}, abstract", gain(END, method, density, "random_at_init"))
    for method, name in SHORT.items():
        yield worse((recipe,), f"{mark}init-{method}-below-ticket",
            f"at {density} % {name} is less accurate than the winning ticket",
            f"{FRANKLE}, abstract", gain(END, method, density))


def _checks(recipe: str, mark: str, density: float = DENSITY) -> Iterator[Claim]:
    """Their claims about whether it matters which weights are chosen."""
    more, less = (partial(of, (recipe,)) for of in (better, worse))
    for check, words in {"shuffled": "if shuffled within layers", "reinit": "by new initial values"}.items():
        yield less(f"{mark}init-ticket-{check}", f"at {density} % the winning ticket loses {words}",
            f"{FRANKLE}, abstract", gain(END, f"{TICKET}_{check}", density))
    for check, words in {"shuffled": "shuffled within layers", "reinit": "with new initial values"}.items():
        lost = gain(END, f"{TICKET}_{check}", density, TICKET)
        for method, name in SHORT.items():
            yield more(f"{mark}init-{method}-{check}",
                f"at {density} % {name} loses less than half of what the winning ticket loses, {words}: against "
                "halfway",
                f"{FRANKLE}, abstract", past_half(gain(END, f"{method}_{check}", density, method), lost),
                because="half of the effect")
    for method in ("snip", "synflow"):
        yield less(f"{mark}init-{method}-inverted", f"at 16.8 % {SHORT[method]} with the highest scores pruned is less "
            "accurate", f"{FRANKLE}, §5, from memory", gain(END, f"{method}_inverted", 16.8, method))
    yield more(f"{mark}init-grasp-inverted", "at 16.8 % inverting GraSP costs less than half of what inverting SNIP "
        "does: against halfway", f"{FRANKLE}, §5, from memory", past_half(
            gain(END, "grasp_inverted", 16.8, "grasp"), gain(END, "snip_inverted", 16.8, "snip")),
        because="half of the effect")


def _no_collapse(recipe: str, mark: str) -> Claim:
    """The claim of Tanaka et al. about all networks."""
    return Claim((recipe,), f"{mark}init-no-collapse", "SynFlow loses no layer before only one weight a layer is left: "
        "its compression then against the most that is possible", f"{TANAKA}, Theorem 3, from memory",
        compression("synflow"), "1", TIMES, 1, because="all that is possible", ratio=True)


CLAIMS = [
    *_methods(*THIS, ""),
    claim("init-snip-lenet", "at 2.8 % SNIP loses no more than the 0.7 points that the paper loses at 2 %",
        "Lee et al. 2019, Table 1, from memory", gain(END, "snip", 2.8, at=100), "-0.7", POINTS, -0.7,
        because="the paper's, with fewer weights"),
    more("init-grasp-over-snip", "at 2.8 % GraSP is more accurate than SNIP",
        "Wang et al. 2020, abstract", gain(END, "grasp", 2.8, "snip")),
    *(more(f"init-synflow-over-{method}", f"at 2.8 % SynFlow is more accurate than {SHORT[method]}",
        f"{TANAKA}, Fig 6, from memory", gain(END, "synflow", 2.8, method))
        for method in SHORT if method != "synflow"),
    *_checks(*THIS, ""),
    _no_collapse(*THIS, ""),
    *(claim(f"init-collapse-{method}", f"{name} loses a whole layer before only one weight a layer is left: its "
        "compression then against the most that is possible", f"{TANAKA}, Fig 1, from memory", compression(method),
        "< 1", TIMES, high=1, strict=True, ratio=True) for method, name in SHORT.items() if method != "synflow"),
    *_methods(RESNET, "resnet20-"),
    *_checks(RESNET, "resnet20-"),
    _no_collapse(RESNET, "resnet20-"),
    *_methods(SMALL, "resnet8-", LARGER),
    *_checks(SMALL, "resnet8-", LARGER),
    _no_collapse(SMALL, "resnet8-"),
]
