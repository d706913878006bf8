"""What all claims have in common: quantities, names of series, formats, reasons for ends, and orders."""

from functools import partial

from npticket.papers.lottery_ticket import series
from npticket.report.claims import Claim
from npticket.report.quantities import at_early_stop, at_the_end, fitted, gap
from npticket.task import CLASSIFY

ACC, END, TRAIN, GAP = (make(CLASSIFY.headline) for make in (at_early_stop, at_the_end, fitted, gap))
TICKET, REINIT, MASK = series.TICKET, "random_reinit", "random_mask"
STEPS, TIMES, POINTS, PERCENT, LEVEL = "{:,.0f} steps", "{:.2f} times", "{:+.2f} points", "{:.1f} %", "{:.2f} %"
BACK = 5_900, 23_000  # weights: two rounds to either side of the 9,000 to 15,000 of Figure 31
HALF, THIRD, ROUNDS, SPREAD = "half of the effect", "a third", "two rounds", "the spread in later papers"
FITTED = "to a tenth of a percent, at best in the last tenth of the steps"
TENTHS_3, TENTHS_4 = "three tenths of a point", "four tenths of a point"
THIRD_OF_GAIN, SPREAD_HERE = "a third of a ticket's gain", "the trials' spread"
better = partial(Claim, expected="> 0", form=POINTS, low=0, strict=True)  # one thing is more accurate than another
worse = partial(Claim, expected="< 0", form=POINTS, high=0, strict=True)
