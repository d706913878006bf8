"""Stabilizing the Lottery Ticket Hypothesis (Frankle, Dziugaite, Roy & Carbin 2019): what rewinding is good for.

Deep networks have no tickets that can be reset to their initial values; they have such as are rewound to step k, early
in training. The paper asks why, by two distances between the ends of trainings (`distances`): tickets are where both
are small; random subnetworks, as large in each layer, are what they are held against (here they start from the same
values as tickets, which we have of the paper from memory). And it finds tickets for ImageNet that way (`imagenet`).
"""

from npticket.experiments.parts import Parts
from npticket.papers.stabilizing import distances, imagenet
from npticket.papers.stabilizing.distances import COPY, RANDOM, STABILITY, Distances
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end

PAPER = Paper(
    "stabilizing",
    "Jonathan Frankle, Gintare Karolina Dziugaite, Daniel M. Roy and Michael Carbin: Stabilizing the Lottery Ticket "
    "Hypothesis. 2019. arXiv:1903.01611",
    {STABILITY.name: STABILITY},
    Parts(series=distances.OWN),
    {sweep.name: sweep for sweep in (*distances.SWEEPS, *imagenet.SWEEPS)},
    [*distances.CLAIMS, *imagenet.CLAIMS],
    (Distances(), Lines("final_accuracy", (at_the_end,), (COPY, RANDOM, *imagenet.SERIES))),
)
