"""Pruning neural networks at initialisation: why are we missing the mark? (Frankle, Dziugaite, Roy & Carbin, ICLR 2021)

Which weights can be pruned before any training? SNIP (Lee, Ajanthan & Torr 2019) keeps those to which the loss is most
sensitive, GraSP (Wang, Zhang & Grosse 2020) those without which gradients would be smaller, SynFlow (Tanaka et al.
2020) those on strong paths through the network. The paper compares all of them with winning tickets of the same
density, and asks whether it matters which weights they choose, or only how many in each layer.
"""

from npticket.experiments.parts import Parts
from npticket.papers.lottery_ticket.series import TICKET
from npticket.papers.pruning_at_init.claims import CLAIMS
from npticket.papers.pruning_at_init.figures import Layers, SanityChecks
from npticket.papers.pruning_at_init.recipes import RECIPES
from npticket.papers.pruning_at_init.scores import grasp, snip, synflow
from npticket.papers.pruning_at_init.series import METHODS, SERIES
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_early_stop, at_the_end

PAPER = Paper(
    "pruning_at_init",
    "Jonathan Frankle, Gintare Karolina Dziugaite, Daniel M. Roy and Michael Carbin: Pruning Neural Networks at "
    "Initialization: Why Are We Missing the Mark? ICLR 2021. arXiv:2009.08576",
    RECIPES,
    Parts(series=SERIES, scores={"snip": snip, "grasp": grasp, "synflow": synflow}),
    claims=CLAIMS,
    plots=(Lines("pruned_before_training", (at_the_end, at_early_stop), (TICKET, *METHODS), needs=2), SanityChecks(),
           Layers()),
)  # fmt: skip
