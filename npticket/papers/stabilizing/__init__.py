"""Stabilizing the Lottery Ticket Hypothesis (Frankle, Dziugaite, Roy & Carbin 2019): what rewinding is good for.

At usual learning rates, deep networks have no tickets that can be reset to their initial values, but they have tickets
that are rewound to a step k early in training. The paper asks why, by two distances between the ends of training runs
(`distances`): there are tickets where both are small. It compares tickets with random subnetworks of the same size in
each layer (here these start from the same values as tickets, as in the paper, from memory). By rewinding it finds
tickets for ImageNet (`imagenet`).
"""

from npticket.experiments.parts import Parts
from npticket.papers.stabilizing import claims, distances, imagenet, recipes
from npticket.papers.stabilizing.distances import COPY, RANDOM
from npticket.papers.stabilizing.figures import Distances
from npticket.papers.stabilizing.recipes import STABILITY
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end

PAPER = Paper(
    "stabilizing",
    "Jonathan Frankle, Gintare Karolina Dziugaite, Daniel M. Roy and Michael Carbin: Stabilizing the Lottery Ticket "
    "Hypothesis. 2019. arXiv:1903.01611",
    {STABILITY.name: STABILITY},
    Parts(series=distances.OWN),
    {sweep.name: sweep for sweep in (*recipes.SWEEPS, *imagenet.SWEEPS)},
    [*claims.CLAIMS, *imagenet.CLAIMS],
    (Distances(), Lines("final_accuracy", (at_the_end,), (COPY, RANDOM, *imagenet.SERIES))),
)
