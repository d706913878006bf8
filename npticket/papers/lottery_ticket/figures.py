"""What the paper's figures show, and of which series."""

from npticket.report.curves import Curves
from npticket.report.figures import FixedSteps, Lines, Plot
from npticket.report.quantities import at_early_stop, at_the_end, early_stop, gap, trained

_TICKET, _REINIT, _MASK = "winning_ticket", "random_reinit", "random_mask"
_MAIN = (_TICKET, _REINIT, _MASK)
_ONE_SHOT = ("one_shot", "one_shot_reinit")
_STRUCTURE = (_REINIT, _MASK, "shuffled", "survivor_reinit")

PLOTS: tuple[Plot, ...] = (
    Lines("early_stopping", (early_stop, at_early_stop, trained), _MAIN),
    Lines("final_accuracy", (at_the_end,), _MAIN),
    Lines("generalisation", (trained, at_the_end, gap), _MAIN[:2]),
    Curves((1.0, 0.513, 0.211, 0.070, 0.036, 0.019), control=_REINIT, called="reinit"),  # those of Figure 3
    FixedSteps(_MAIN),  # Figures 7 and 8
    Lines("one_shot", (early_stop, at_early_stop), _ONE_SHOT, beside=_MAIN[:2], linear=True),
    Lines("structure_or_initialisation", (early_stop, at_early_stop), _STRUCTURE, beside=(_TICKET,), needs=2),
    # The rest; random reinits beside them are what they must beat.
    Lines("controls", (early_stop, at_early_stop), beside=_MAIN[:2], elsewhere=(*_STRUCTURE, *_ONE_SHOT)),
)
