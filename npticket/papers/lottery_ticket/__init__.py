"""The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks (Frankle & Carbin, ICLR 2019)."""

from npticket.experiments.parts import Parts
from npticket.papers.lottery_ticket.claims import CLAIMS
from npticket.papers.lottery_ticket.figures import PLOTS
from npticket.papers.lottery_ticket.recipes import RECIPES, SWEEPS
from npticket.papers.lottery_ticket.series import SERIES
from npticket.report.paper import Paper

PAPER = Paper(
    key="lottery_ticket",
    citation="Jonathan Frankle and Michael Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural "
    "Networks. ICLR 2019. arXiv:1803.03635",
    recipes=RECIPES,
    parts=Parts(series=SERIES),
    sweeps=SWEEPS,
    claims=CLAIMS,
    plots=PLOTS,
)
