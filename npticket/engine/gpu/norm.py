"""Batch normalisation, with the ReLU behind it: in training five kernels forward, and three or more backward."""

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import PART, ROWS, Source, kernel, parts_of, sum_rows
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

# Mean and sum of squared deviations of ROWS rows at a time: mean, m2 (T, G, C) of x (T, N, C). Twice over the rows, the
# second time from the cache: a difference of sums would lose all digits where the mean is large.
MOMENTS: Source = (
    "raw T x, int32 rows, int32 parts, int32 channels",
    "T mean, T m2",
    PART
    + """
    T sum = 0, squares = 0;
    for (int r = first; r < last; ++r) sum += x[start + ptrdiff_t(r) * channels];
    const T middle = sum / (last - first);
    for (int r = first; r < last; ++r) {
        const T apart = x[start + ptrdiff_t(r) * channels] - middle;
        squares += apart * apart;
    }
    mean = middle;
    m2 = squares;
    """,
    "moments",
)

# The same of ROWS parts at a time, of which each stands for `each` of `all` rows, the last one for what is left
# (Chan, Golub & LeVeque 1983: the squares about a common mean are those about each mean, and what lies between them).
JOIN: Source = (
    "raw T means, raw T squares, int32 rows, int32 parts, int32 channels, int32 each, int32 all",
    "T mean, T m2",
    PART
    + """
    const int count = min(last * each, all) - first * each;
    T sum = 0, total = 0;
    for (int r = first; r < last; ++r)
        sum += means[start + ptrdiff_t(r) * channels] * (min((r + 1) * each, all) - r * each);
    const T middle = sum / count;
    for (int r = first; r < last; ++r) {
        const T apart = means[start + ptrdiff_t(r) * channels] - middle;
        total += squares[start + ptrdiff_t(r) * channels] + apart * apart * (min((r + 1) * each, all) - r * each);
    }
    mean = middle;
    m2 = total;
    """,
    "join_moments",
)

# 1 / sqrt(var + eps) of a batch, and the running statistics a step further; the running variance is the unbiased one.
STATISTICS: Source = (
    "T mean, T m2, int32 count, T momentum, T eps",
    "T inverse, T running_mean, T running_var",
    """
    inverse = 1 / sqrt(m2 / count + eps);
    running_mean += momentum * (mean - running_mean);
    running_var += momentum * (m2 / (count - 1) - running_var);
    """,
    "batch_statistics",
)

NORMALISE: Source = (
    "T x, T mean, T inverse, T scale, T shift, bool relu",
    "T y",
    "y = (x - mean) * inverse * scale + shift; if (relu && y < 0) y = 0;",
    "normalise",
)

# sums (T, G, 2, C): of dz, and of dz xhat, over ROWS rows; dz is dy where the ReLU let something pass.
GRADIENT_SUMS: Source = (
    "raw T x, raw T dy, raw T y, raw T mean, raw T inverse, int32 rows, int32 parts, int32 channels, bool relu",
    "raw T sums",
    PART
    + """
    const T middle = mean[t * channels + c], factor = inverse[t * channels + c];
    T shift = 0, scale = 0;
    for (int r = first; r < last; ++r) {
        const ptrdiff_t at = start + ptrdiff_t(r) * channels;
        const T dz = !relu || y[at] > 0 ? dy[at] : T(0);
        shift += dz;
        scale += dz * (x[at] - middle) * factor;
    }
    sums[(ptrdiff_t(t) * parts + part) * 2 * channels + c] = shift;
    sums[(ptrdiff_t(t) * parts + part) * 2 * channels + channels + c] = scale;
    """,
    "norm_gradient_sums",
)

# dx = scale / sqrt(var + eps) (dz - mean(dz) - xhat mean(dz xhat))
INPUT_GRADIENT: Source = (
    "T x, T dy, T y, T mean, T inverse, T scale, T dshift, T dscale, int32 count, bool relu",
    "T dx",
    """
    const T dz = !relu || y > 0 ? dy : T(0);
    dx = scale * inverse * (dz - (dshift + (x - mean) * inverse * dscale) / count);
    """,
    "norm_input_gradient",
)


class BatchNorm:
    """As layers.BatchNorm, where the formulas are; behind it a ReLU if asked for.     x, y (T, B, ..., C)"""

    def __init__(self, norm: layers.BatchNorm, relu: bool) -> None:
        self.layout, self.init, self._relu = norm.layout, norm.init, relu
        self._momentum, self._eps = norm.momentum, norm.eps

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp = array_module(x)
        rows, relu = x.reshape(len(x), -1, x.shape[-1]), self._relu
        if step is None:
            mean, inverse = p["running_mean"], 1 / xp.sqrt(p["running_var"] + self._eps)
        else:
            layers.norm.check_count(rows.shape[1])
            mean, m2 = moments(rows)
            inverse, running = xp.empty_like(mean), (p["running_mean"], p["running_var"])
            kernel(xp, STATISTICS)(mean, m2, rows.shape[1], self._momentum, self._eps, inverse, *running)
        around = [part[:, None] for part in (mean, inverse, p["scale"])]
        y = kernel(xp, NORMALISE)(rows, *around, p["shift"][:, None], relu)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            dy = xp.ascontiguousarray(dy).reshape(rows.shape)
            sums = gradient_sums(rows, dy, y, mean, inverse, relu)
            grad["shift"][...], grad["scale"][...] = sums[:, 0], sums[:, 1]
            if not need_dx:
                return None
            dx = kernel(xp, INPUT_GRADIENT)(rows, dy, y, *around, sums[:, :1], sums[:, 1:], rows.shape[1], relu)
            return dx.reshape(x.shape)

        return y.reshape(len(y), *x.shape[1:]), backward  # of all trials, where x is one for all


def moments(x: Array) -> tuple[Array, Array]:
    """Mean over the rows and sum of squared deviations from it, (T, C) and (T, C).     x (T, N, C)"""
    xp, (trials, rows, channels) = array_module(x), x.shape
    count, each, parts = rows, ROWS, parts_of(rows)
    mean, m2 = (xp.empty((trials, parts, channels), x.dtype) for _ in range(2))
    kernel(xp, MOMENTS)(x, rows, parts, channels, mean, m2)
    while parts > 1:
        rows, parts = parts, parts_of(parts)
        joined = [xp.empty((trials, parts, channels), x.dtype) for _ in range(2)]
        kernel(xp, JOIN)(mean, m2, rows, parts, channels, each, count, *joined)
        (mean, m2), each = joined, each * ROWS
    return mean[:, 0], m2[:, 0]


def gradient_sums(x: Array, dy: Array, y: Array, mean: Array, inverse: Array, relu: bool) -> Array:
    """What shift and scale are to receive, (T, 2, C).     x, dy, y (T, N, C)   mean, inverse (T, C)"""
    xp, (trials, rows, channels), parts = array_module(x, dy, y), x.shape, parts_of(x.shape[1])
    sums, total = (xp.empty(shape, x.dtype) for shape in ((trials, parts, 2 * channels), (trials, 2 * channels)))
    work = trials * parts * channels
    kernel(xp, GRADIENT_SUMS)(x, dy, y, mean, inverse, rows, parts, channels, relu, sums, size=work)
    sum_rows(sums, total)
    return total.reshape(trials, 2, channels)
