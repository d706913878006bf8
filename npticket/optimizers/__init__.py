"""SGD, Adam and AdamW for survivors only, clipping, and the learning-rate schedules.

An optimizer is built from masks, and a new one for every round. It keeps moments and never parameters: `step(theta,
grads)` is given both, updates theta.flat in place and may use grads.flat as scratch memory. All settings are made
Python floats: in NumPy 2 a product of float32 with np.float64, which searches over settings pass, is float64.
"""

from npticket.optimizers.adam import Adam, AdamW
from npticket.optimizers.clipping import Clipped, clipped_adamw
from npticket.optimizers.schedules import Schedule, constant, linear_decay, linear_warmup, step_drops
from npticket.optimizers.sgd import SGD
from npticket.optimizers.survivors import FLUSH_EVERY, flush, moving, tiny

__all__ = [
    "FLUSH_EVERY", "SGD", "Adam", "AdamW", "Clipped", "Schedule", "clipped_adamw", "constant", "flush", "linear_decay",
    "linear_warmup", "moving", "step_drops", "tiny",
]  # fmt: skip
