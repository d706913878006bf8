"""Deep Compression (Han, Mao & Dally, ICLR 2016): how small does a network's file become without losing accuracy?

Weights below a threshold are pruned and the others trained further, in rounds (Han, Pool, Tran & Dally, NIPS 2015);
those that are left share a few values, which are trained; values, and gaps between weights, get Huffman codes. Here one
more question is asked: how small is the file of a ticket, of which only the seed and the mask have to be kept?
"""

from npticket.experiments.parts import Parts
from npticket.papers.deep_compression.claims import CLAIMS
from npticket.papers.deep_compression.figures import Stages
from npticket.papers.deep_compression.recipes import RECIPES
from npticket.papers.deep_compression.series import SERIES
from npticket.report.figures import DEFAULT
from npticket.report.paper import Paper

PAPER = Paper(
    "deep_compression",
    "Song Han, Huizi Mao and William J. Dally: Deep Compression: Compressing Deep Neural Networks with Pruning, "
    "Trained Quantization and Huffman Coding. ICLR 2016. arXiv:1510.00149",
    RECIPES, Parts(series=SERIES), claims=CLAIMS, plots=(*DEFAULT, Stages()),
)  # fmt: skip
