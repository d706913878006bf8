"""The loss of object detection: the focal loss for classes, and generalised intersection over union for boxes.

A cell should show an object if the cell's centre lies in the object's box and less than 8 pixels across and down from
the box's centre, or if the box's centre lies in the cell; of several objects the smallest. An image's loss is the sum
over cells of

    focal(z) = -a (1 - q)^2 log q     (Lin et al. 2017) for each class, q the probability that a logit gives to what is
                                      true, a = 0.25 if there is an object of the class and 0.75 if there is none,
    1 - GIoU                          (Rezatofighi et al. 2019) for cells that should show an object,

divided by the number of cells that should show one. 4.6 is subtracted from the network's logits, so that at first it
expects an object of a class in one of a hundred cells (Lin et al. 2017, section 4.1).
"""

import math

from npticket.backend import Array, array_module
from npticket.datasets.annotations import BOX, CLASS
from npticket.nets.detector import STRIDE

REACH = 1.0  # cells from an object's centre to those that show it
PRIOR = math.log(99)  # what is subtracted from logits: sigmoid(-PRIOR) is 1 / 100
ALPHA = 0.25  # a of the focal loss
WIDEST = 5.0  # logarithm of the widest box, in cells: beyond it the loss is flat


def detection_loss(y: Array, targets: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient.     y (T, B, H', W', C + 4)   targets (T or 1, B, M, 5)

    The mean is over B and never over T. An image without objects has only the focal loss of seeing some.
    """
    xp = array_module(y, targets)
    chosen, shows = assigned(targets.astype(y.dtype), *y.shape[2:4])
    hit = shows[..., None] & (chosen[..., :1] == xp.arange(y.shape[-1] - 4))
    focal, d_logits = focal_loss(y[..., :-4] - PRIOR, hit)
    apart, d_boxes = box_loss(y[..., -4:], chosen[..., BOX] / STRIDE)
    per_cell = focal.sum(axis=-1) + xp.where(shows, apart, 0)
    share = (1 / (xp.maximum(shows.sum(axis=(2, 3)), 1) * y.shape[1])).astype(y.dtype)
    dy = xp.concatenate([d_logits, xp.where(shows[..., None], d_boxes, 0)], axis=-1)
    return (per_cell.sum(axis=(2, 3)) * share).sum(axis=1), dy * share[..., None, None, None]


def assigned(targets: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """Return the target that each cell should show (T, B, H', W', 5), and whether it should show any (T, B, H', W').

    targets (T, B, M, 5)
    """
    xp = array_module(targets)
    x, y, w, h = (targets[..., 1 + i, None, None] / STRIDE for i in range(4))
    across, down = x + w / 2, y + h / 2
    column, row = xp.arange(columns), xp.arange(rows)[:, None]
    inside = (xp.floor(across) == column) & (xp.floor(down) == row)
    near = (abs(column + 0.5 - across) < xp.minimum(REACH, w / 2)) & (abs(row + 0.5 - down) < xp.minimum(REACH, h / 2))
    mine = (inside | near) & (targets[..., CLASS, None, None] >= 0)  # (T, B, M, H', W')
    smallest = xp.where(mine, w * h, math.inf).argmin(axis=2)
    flat = smallest.reshape(*smallest.shape[:2], -1, 1)
    return xp.take_along_axis(targets, flat, axis=2).reshape(*smallest.shape, -1), mine.any(axis=2)


def focal_loss(z: Array, hit: Array) -> tuple[Array, Array]:
    """Return the focal loss of each logit, and its derivative.     z, hit of one shape

    `hit` is True where there is an object of the class.
    """
    xp = array_module(z)
    right = xp.where(hit, z, -z)  # q = sigmoid(right)
    cost = xp.logaddexp(xp.zeros_like(right), -right)  # -log q
    miss = xp.exp(-xp.logaddexp(xp.zeros_like(right), right))  # 1 - q
    weighted = xp.where(hit, z.dtype.type(ALPHA), z.dtype.type(1 - ALPHA)) * miss**2
    slope = -weighted * (2 * (1 - miss) * cost + miss)
    return weighted * cost, xp.where(hit, slope, -slope)


def box_loss(z: Array, wanted: Array) -> tuple[Array, Array]:
    """Return 1 - GIoU of each cell's box, and its derivative.     z (T, B, H', W', 4)   wanted: x, y, w, h in cells

    With areas A of the box, G of the wanted one, I of what both have, H of the smallest box around both, and
    U = A + G - I, that is 2 - I/U - U/H, so that  d = (I/U^2 - 1/H) dA - (1/U + I/U^2 - 1/H) dI + U/H^2 dH.
    """
    xp = array_module(z, wanted)
    rows, columns = z.shape[2:4]
    cells = xp.stack(xp.broadcast_arrays(xp.arange(columns), xp.arange(rows)[:, None]), axis=-1).astype(z.dtype) + 0.5
    centre, size = cells + z[..., :2], xp.exp(xp.minimum(z[..., 2:], WIDEST))
    low, high = centre - size / 2, centre + size / 2
    wanted_low, wanted_high = wanted[..., :2], wanted[..., :2] + wanted[..., 2:]
    inner = xp.maximum(xp.minimum(high, wanted_high) - xp.maximum(low, wanted_low), 0)
    outer = xp.maximum(high, wanted_high) - xp.minimum(low, wanted_low)
    area, goal, common, around = (sides[..., 0] * sides[..., 1] for sides in (size, wanted[..., 2:], inner, outer))
    union = area + goal - common
    d_area = common / union**2 - 1 / around
    d_inner = -(1 / union + d_area)[..., None] * inner[..., ::-1] * (inner > 0)
    d_outer = (union / around**2)[..., None] * outer[..., ::-1]
    d_high = xp.where(high < wanted_high, d_inner, d_outer)  # a side moves one of the two
    d_low = -xp.where(low > wanted_low, d_inner, d_outer)
    d_size = ((d_high - d_low) / 2 * size + (d_area * area)[..., None]) * (z[..., 2:] < WIDEST)
    return 2 - common / union - union / around, xp.concatenate([d_low + d_high, d_size], axis=-1)
