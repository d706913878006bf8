"""What the lottery ticket paper claims (Frankle & Carbin 2019), in our own words, as data that a judge can read.

Where the paper gives a size, a claim holds from half of that effect on; where it gives a level, within the spread that
later papers report for it, or what is read off a figure by eye; where it gives an order, by the sign; where something
happens at some density, within two rounds of it. Percentages after "at" are weights remaining.

A row is a claim: id and sentence; source, the number that is judged, what the paper says, form, and ends.
"""

from npticket.papers.lottery_ticket.claims.conv import CONV
from npticket.papers.lottery_ticket.claims.deep import DEEP
from npticket.papers.lottery_ticket.claims.lenet import LENET
from npticket.papers.lottery_ticket.claims.lenet_sweeps import LENET_SWEEPS
from npticket.papers.lottery_ticket.claims.weights import WEIGHTS_CLAIMS

CLAIMS = [*LENET, *LENET_SWEEPS, *WEIGHTS_CLAIMS, *CONV, *DEEP]
