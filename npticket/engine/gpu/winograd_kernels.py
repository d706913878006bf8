"""The kernels of winograd.py: into Winograd's domain and out of it, a tile per thread, for each trial and channel."""

import numpy as np

from npticket.engine.conv.winograd import AT, BT, POINTS, TILE, G
from npticket.engine.gpu.kernels import Source

PLANES = POINTS**2


def sandwich(matrix: np.ndarray, inner: str, out: str) -> str:
    """The text of: out = matrix inner matrix^T, arrays [row][column] in C. Where the matrix is 0, nothing is done."""

    def sums(target: str, source: str) -> str:
        text = ""
        for r, row in enumerate(matrix.tolist()):
            terms = [f"T({value!r}) * {source.format(k)}" for k, value in enumerate(row) if value]
            text += f"{target.format(r)} = {' + '.join(terms)};\n"
        return text

    rows, columns = matrix.shape
    return f"""
    T half[{rows}][{columns}], {out}[{rows}][{rows}];
    #pragma unroll
    for (int j = 0; j < {columns}; ++j) {{ {sums("half[{}][j]", inner + "[{}][j]")} }}
    #pragma unroll
    for (int j = 0; j < {rows}; ++j) {{ {sums(out + "[j][{}]", "half[j][{}]")} }}
    """


# Tile n of trial t covers outputs (height, width) from (top, left) of an image; `first` images come before the tiles.
SHAPES = "int32 images, int32 first, int32 tiles, int32 channels, int32 height, int32 width"
PLACE = f"""
    const int across = (width + {TILE - 1}) / {TILE}, down = (height + {TILE - 1}) / {TILE};
    const int left = n % across * {TILE}, top = n / across % down * {TILE};
    const ptrdiff_t image = ptrdiff_t(t) * images + first + n / across / down, plane = ptrdiff_t(tiles) * channels;
"""
BY_CHANNEL = f"""
    const int index = i, c = index % channels, n = index / channels % tiles, t = index / channels / tiles;
    {PLACE}
    const ptrdiff_t corner = ptrdiff_t(t) * {PLANES} * plane + ptrdiff_t(n) * channels + c;
"""
# Transposed. Four channels of eight tiles are neighbours: what is read and what is written fills sectors of 32 bytes.
BY_TILE = f"""
    const int index = i, low = index % 32, high = index / 32, quarters = (channels + 3) / 4, eighths = (tiles + 7) / 8;
    const int c = high % quarters * 4 + low % 4, n = high / quarters % eighths * 8 + low / 4;
    const int t = high / quarters / eighths;
    if (c >= channels || n >= tiles) continue;
    {PLACE}
    const ptrdiff_t corner = ptrdiff_t(t) * {PLANES} * plane + ptrdiff_t(c) * tiles + n;
"""


def to_domain(name: str, matrix: np.ndarray, place: str) -> Source:
    """The kernel from pixels, as many as `matrix` has columns, from `margin` outside of the tile, to the domain."""
    size = matrix.shape[1]
    body = f"""
    {place}
    T d[{size}][{size}];
    #pragma unroll
    for (int k = 0; k < {size * size}; ++k) {{
        const int h = top - margin + k / {size}, w = left - margin + k % {size};
        const bool inside = h >= 0 && h < x_height && w >= 0 && w < x_width;
        d[k / {size}][k % {size}] = inside ? x[((image * x_height + h) * x_width + w) * channels + c] : T(0);
    }}
    {sandwich(matrix, "d", "v")}
    #pragma unroll
    for (int k = 0; k < {PLANES}; ++k) domain[corner + k * plane] = v[k / {POINTS}][k % {POINTS}];
    """
    return f"raw T x, int32 x_height, int32 x_width, int32 margin, {SHAPES}", "raw T domain", body, name


INPUTS = to_domain("winograd_inputs", BT, BY_CHANNEL)
INPUTS_TRANSPOSED = to_domain("winograd_inputs_transposed", BT, BY_TILE)
OUTPUT_GRADIENTS = to_domain("winograd_output_gradients", AT.T, BY_CHANNEL)

# y = A^T M A + b, or its ReLU. Rounding must not pass for a small positive number where the ReLU's input is exactly 0,
# as it is where a filter sees nothing and has no bias yet; so with a bias of 0 the sums are taken as they are defined.
OUTPUTS: Source = (
    f"raw T domain, raw T b, raw T x, raw T taps, int32 depth, int32 x_height, int32 x_width, int32 pad, bool relu,"
    f" bool offset, bool exact, {SHAPES}",
    "raw T y",
    f"""
    {BY_CHANNEL}
    T m[{POINTS}][{POINTS}];
    bool any = false;
    #pragma unroll
    for (int k = 0; k < {PLANES}; ++k) {{
        m[k / {POINTS}][k % {POINTS}] = domain[corner + k * plane];
        any = any || m[k / {POINTS}][k % {POINTS}] != 0;
    }}
    const T bias = offset ? b[t * channels + c] : T(0);
    if (exact && any && bias == 0) {{
        for (int k = 0; k < {TILE**2}; ++k) {{
            const int h = top + k / {TILE}, w = left + k % {TILE};
            if (h >= height || w >= width) continue;
            T sum = 0;
            for (int tap = 0; tap < 9; ++tap) {{
                const int row = h - pad + tap / 3, column = w - pad + tap % 3;
                if (row < 0 || row >= x_height || column < 0 || column >= x_width) continue;
                const ptrdiff_t pixel = ((image * x_height + row) * x_width + column) * depth;
                const ptrdiff_t weight = (ptrdiff_t(t) * 9 + tap) * depth;
                for (int d = 0; d < depth; ++d) sum += x[pixel + d] * taps[(weight + d) * channels + c];
            }}
            y[((image * height + h) * width + w) * channels + c] = relu && sum < 0 ? T(0) : sum;
        }}
    }} else {{
        {sandwich(AT, "m", "z")}
        #pragma unroll
        for (int k = 0; k < {TILE**2}; ++k) {{
            const int h = top + k / {TILE}, w = left + k % {TILE};
            const T value = z[k / {TILE}][k % {TILE}] + bias;
            if (h < height && w < width)
                y[((image * height + h) * width + w) * channels + c] = relu && value < 0 ? T(0) : value;
        }}
    }}
    """,
    "winograd_outputs",
)

# U (T, 36, C, O) of taps (T, 3, 3, C, O), or U (T, 36, O, C) of those `turned`: reversed, for the gradient of x.
TAPS: Source = (
    "raw T taps, int32 rows, int32 columns, bool turned",
    "raw T domain",
    f"""
    const int index = i, column = index % columns, row = index / columns % rows, t = index / columns / rows;
    const ptrdiff_t matrix = ptrdiff_t(rows) * columns;
    const ptrdiff_t at = turned ? ptrdiff_t(column) * rows + row : ptrdiff_t(row) * columns + column;
    T w[3][3];
    #pragma unroll
    for (int k = 0; k < 9; ++k) w[k / 3][k % 3] = taps[(ptrdiff_t(t) * 9 + (turned ? 8 - k : k)) * matrix + at];
    {sandwich(G, "w", "u")}
    const ptrdiff_t corner = ptrdiff_t(t) * {PLANES} * matrix + ptrdiff_t(row) * columns + column;
    #pragma unroll
    for (int k = 0; k < {PLANES}; ++k) domain[corner + k * matrix] = u[k / {POINTS}][k % {POINTS}];
    """,
    "winograd_taps",
)

TAP_GRADIENTS: Source = (
    "raw T domain, int32 matrix",
    "raw T dw",
    f"""
    const int index = i, t = index / matrix, at = index % matrix;
    T u[{POINTS}][{POINTS}];
    #pragma unroll
    for (int k = 0; k < {PLANES}; ++k)
        u[k / {POINTS}][k % {POINTS}] = domain[(ptrdiff_t(t) * {PLANES} + k) * matrix + at];
    {sandwich(G.T, "u", "w")}
    #pragma unroll
    for (int k = 0; k < 9; ++k) dw[(ptrdiff_t(t) * 9 + k) * matrix + at] = w[k / 3][k % 3];
    """,
    "winograd_tap_gradients",
)
