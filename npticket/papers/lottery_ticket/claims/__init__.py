"""What the lottery ticket paper claims (Frankle & Carbin 2019), in our own words, as data that a judge can read.

If the paper gives the size of an effect, a claim holds from half of it on; if it gives a level, within the spread that
later papers report, or the precision of reading a figure by eye; if it gives an order, by the sign; if it says at which
density something happens, within two rounds of that. Percentages after "at" are weights remaining.

A row is a claim: id and sentence; source, the number that is judged, what the paper says, form, and ends.
"""

from npticket.papers.lottery_ticket.claims.conv import CONV
from npticket.papers.lottery_ticket.claims.deep import DEEP
from npticket.papers.lottery_ticket.claims.lenet import LENET
from npticket.papers.lottery_ticket.claims.lenet_sweeps import LENET_SWEEPS
from npticket.papers.lottery_ticket.claims.short import SHORT
from npticket.papers.lottery_ticket.claims.weights import WEIGHTS_CLAIMS

CLAIMS = [*LENET, *LENET_SWEEPS, *WEIGHTS_CLAIMS, *CONV, *DEEP, *SHORT]
