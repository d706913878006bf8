"""Deconstructing lottery tickets (Zhou, Lan, Liu & Yosinski, NeurIPS 2019): what of a ticket makes it win?

Three things are varied one by one. The mask criterion: how are survivors chosen (`criteria`)? The survivors' values:
does each initial value matter, or only its sign? The pruned weights' values: why 0 (both in `actions`)? The paper ends
with masks that need no training of weights at all (`supermasks`).
"""

from npticket.experiments.parts import Parts
from npticket.papers.deconstructing import criteria, supermasks
from npticket.papers.deconstructing.actions import MASK_0, MASK_1, frozen_lenet
from npticket.papers.deconstructing.claims import CLAIMS
from npticket.papers.deconstructing.figures import Learning, Supermasks
from npticket.papers.deconstructing.recipes import BY_SIGNS, RECIPES
from npticket.papers.lottery_ticket.series import TICKET
from npticket.report.figures import Lines, Plot
from npticket.report.paper import Paper
from npticket.report.quantities import at_early_stop, at_the_end

BOTH = (at_early_stop, at_the_end)
PLOTS: tuple[Plot, ...] = (
    Lines("mask_criteria", BOTH, tuple(criteria.SERIES), beside=(TICKET,)),
    Lines("mask_1_actions", BOTH, BY_SIGNS[1:], beside=(TICKET,)),
    Lines("mask_0_actions", BOTH, tuple(MASK_0), beside=(TICKET,)),
    Supermasks(),
    Learning(),
)

PAPER = Paper(
    "deconstructing",
    "Zhou, Lan, Liu & Yosinski: Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask, NeurIPS 2019",
    RECIPES,
    Parts(
        nets={"frozen_lenet": frozen_lenet, "supermask_lenet": supermasks.supermask_lenet},
        scores=criteria.CRITERIA,
        series={**criteria.SERIES, **MASK_1, **MASK_0, **supermasks.SERIES},
    ),
    claims=CLAIMS, plots=PLOTS,
)  # fmt: skip
