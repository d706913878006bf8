"""Is the network too large? Tickets of larger networks against smaller networks with as many weights.

If a tenth of a network can be trained alone, the whole may have been too large from the beginning. So this compares at
equal *numbers* of weights: tickets of networks of several sizes, and small dense networks. Frankle & Carbin (2019,
appendix G.6, Figure 31) did so for the width of LeNet: tickets of all widths fell to the accuracy of their dense
network at about the same number of weights, so of two tickets the larger network's was better. Zhu & Gupta (2017) find
large and sparse networks better than small and dense ones. Claims with the source "a talk's question" are about what
was asked in a talk on the paper, without an answer: whether the same is true of deeper and wider residual networks.
Here it is asked of six of the nine sizes of three depths and three widths.
"""

from npticket.papers.network_size.claims import CLAIMS
from npticket.papers.network_size.recipes import LENETS, RESNETS
from npticket.report.paper import Paper

PAPER = Paper(
    "network_size",
    "Is the network too large? After Frankle & Carbin 2019, and Zhu & Gupta: To prune, or not to prune, 2017",
    sweeps={sweep.name: sweep for sweep in (LENETS, RESNETS)}, claims=CLAIMS,
)  # fmt: skip
