"""The Lottery Ticket Hypothesis for Pre-trained BERT Networks (Chen et al., NeurIPS 2020).

Are there tickets in a network that was pre-trained, whose weights were learned and not drawn? theta0 are the
pre-trained weights, to which survivors are reset; only the classifier is new. Are the mask and the pre-trained weights
both needed? And does the ticket of one task serve another?

Here the encoder is MiniLM-L3, of 3 layers and 5.3 million weights in matrices, distilled from a larger one and tuned to
compare sentences. It is not BERT-base and has no head for language modelling: so nothing is said of tickets for the
task of pre-training, nor of the paper's other ten tasks.
"""

from dataclasses import replace

from npticket.experiments.series import Series
from npticket.papers.bert_tickets.claims import CLAIMS
from npticket.papers.bert_tickets.figures import Carried, matrix
from npticket.papers.bert_tickets.other_tasks import TRANSFER, transfer
from npticket.papers.bert_tickets.recipes import OF_TASKS, RECIPES, SOURCE
from npticket.papers.bert_tickets.scope import NEEDED
from npticket.papers.bert_tickets.series import SERIES
from npticket.papers.lottery_ticket.series import TICKET
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end
from npticket.report.sweeps import Sweep

PAPER = Paper(
    "bert_tickets",
    "Chen, Frankle, Chang, Liu, Zhang, Wang & Carbin: The Lottery Ticket Hypothesis for Pre-trained BERT Networks. "
    "NeurIPS 2020. arXiv:2007.12223",
    RECIPES, replace(NEEDED, series={**SERIES, TRANSFER: Series(transfer)}),
    {"bert": Sweep("bert", SOURCE, "task", OF_TASKS, matrix)}, CLAIMS,
    plots=(Lines("pretrained", (at_the_end,), tuple(SERIES), beside=(TICKET,), needs=0), Carried()),
)  # fmt: skip
