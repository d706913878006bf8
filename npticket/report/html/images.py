"""Masks, weights per input and filters as small images inside of the page."""

import base64
import struct
import zlib

import numpy as np

from npticket.report.html.markup import Markup, tag

BLUE, YELLOW = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)  # above and below 0; one is dark and one light without colours


def png(pixels: np.ndarray) -> bytes:
    """Encode pixels (H, W, 4) uint8, red, green, blue and opacity, as a PNG file (W3C PNG, 8 bits, colour type 6)."""
    height, width, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")


def image(pixels: np.ndarray, said: str, kind: str) -> Markup:
    """Return an image element, with the text `said` for screen readers; the kind "inks" is inverted in dark mode."""
    data = base64.b64encode(png(pixels)).decode()
    return tag("img", src=f"data:image/png;base64,{data}", alt=said, class_=kind)


def heat(values: np.ndarray, most: float) -> np.ndarray:
    """Return pixels (H, W, 4) as dark as `values` (H, W) are large, up to `most`."""
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = BLUE
    pixels[..., 3] = np.round(255 * values / most) if most else 0
    return pixels


def signs(values: np.ndarray) -> np.ndarray:
    """Return pixels (H, W, 4): blue where `values` (H, W) lie above 0, yellow below, nothing at 0."""
    pixels = np.zeros((*values.shape, 4), np.uint8)
    for colour, where in ((BLUE, values > 0), (YELLOW, values < 0)):
        pixels[where] = (*colour, 255)
    return pixels


def colours(values: np.ndarray) -> np.ndarray:
    """Return pixels (H, W, 4) of a filter (H, W, 3) for red, green and blue: 0 is grey, all three at 0 nothing."""
    pixels, most = np.empty((*values.shape[:2], 4), np.uint8), abs(values).max() or 1.0
    pixels[..., :3] = np.round(127.5 + 127.5 * values / most)
    pixels[..., 3] = 255 * values.any(axis=-1)
    return pixels
