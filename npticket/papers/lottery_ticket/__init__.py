"""The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks (Frankle & Carbin, ICLR 2019)."""

from npticket.experiments.parts import Parts
from npticket.experiments.series import Series
from npticket.papers.lottery_ticket import short
from npticket.papers.lottery_ticket.claims import CLAIMS
from npticket.papers.lottery_ticket.claims.words import MASK, REINIT, TICKET
from npticket.papers.lottery_ticket.recipes import RECIPES, SWEEPS
from npticket.papers.lottery_ticket.series import SERIES
from npticket.papers.lottery_ticket.weight_figures import WeightFigures
from npticket.papers.lottery_ticket.weights import WEIGHTS, weights
from npticket.report.curves import Curves
from npticket.report.figures import FixedSteps, Lines, Plot
from npticket.report.paper import Paper
from npticket.report.quantities import at_early_stop, at_the_end, early_stop, gap, trained

MAIN = (TICKET, REINIT, MASK, short.MASK)
ONE_SHOT = ("one_shot", "one_shot_reinit", short.ONE_SHOT)
ONCE = (short.ONCE, short.ONCE_REINIT)
STRUCTURE = (REINIT, MASK, "shuffled", "survivor_reinit")

PLOTS: tuple[Plot, ...] = (
    Lines("early_stopping", (early_stop, at_early_stop, trained), MAIN),
    Lines("final_accuracy", (at_the_end,), MAIN),
    Lines("generalisation", (trained, at_the_end, gap), MAIN[:2]),
    Curves((1.0, 0.513, 0.211, 0.070, 0.036, 0.019), control=REINIT, called="reinit"),  # those of Figure 3
    FixedSteps((*MAIN, *ONCE)),  # Figures 7 and 8
    Lines("one_shot", (early_stop, at_early_stop), ONE_SHOT, beside=MAIN[:2], linear=True),
    Lines("structure_or_initialisation", (early_stop, at_early_stop), STRUCTURE, beside=(TICKET,), needs=2),
    # The rest; random reinits beside them are what they must beat.
    Lines("controls", (early_stop, at_early_stop), beside=MAIN[:2], elsewhere=(*STRUCTURE, *ONE_SHOT)),
    WeightFigures(),  # Figures 15, 16, 19 to 24
)

PAPER = Paper(
    "lottery_ticket",
    "Jonathan Frankle and Michael Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks. "
    "ICLR 2019. arXiv:1803.03635",
    {**RECIPES, **short.RECIPES}, Parts(series={**SERIES, **short.SERIES, WEIGHTS: Series(weights)}),
    SWEEPS, CLAIMS, PLOTS,
)  # fmt: skip
