"""Compiled loops of :mod:`leanseg.nets.depthwise`: one plane at a time stays in the cache, rows become vectors.

Every kernel row is five taps wide (narrower kernels have zeros at the sides): five products in one expression are what
the compiler turns into one pass over the row. Arrays must be contiguous: otherwise nothing becomes a vector.

A plane is one channel of one image. Loops run over the planes ``start`` to ``stop`` without Python's lock, so that the
caller may run several at once. (Numba's own threads wait in a busy loop, which takes seconds where cores are taken.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

TAPS = 5
"""Width of a kernel row; the margin left and right of a row is half of it."""


@njit(nogil=True, fastmath=True, cache=True)
def forward(x: Any, weight: Any, out: Any, first: int, start: int, stop: int) -> None:
    """Convolve the rectified (N, C, H, W) input with (C, k, 5) kernels into ``out``, from its channel ``first`` on."""
    _, channels, height, width = x.shape
    side = weight.shape[1]
    for plane in range(start, stop):
        image, channel = plane // channels, plane % channels
        padded = np.zeros((height + side - 1, width + 4), np.float32)
        for y in range(height):
            source, inner = x[image, channel, y], padded[y + side // 2]
            for i in range(width):
                inner[i + 2] = max(source[i], np.float32(0))
        for y in range(height):
            line = out[image, first + channel, y]
            line[:] = 0
            for ky in range(side):
                row = padded[y + ky]
                a, b, c, d, e = weight[channel, ky]
                for i in range(width):
                    line[i] += a * row[i] + b * row[i + 1] + c * row[i + 2] + d * row[i + 3] + e * row[i + 4]


@njit(nogil=True, fastmath=True, cache=True)
def backward(
    x: Any, weight: Any, gradient: Any, first: int, to_input: Any, to_weight: Any, start: int, stop: int
) -> None:
    """Add the gradients: (N, C, H, W) to the input, and (N, C, k, 5) to the kernels image by image."""
    _, channels, height, width = x.shape
    side = weight.shape[1]
    for plane in range(start, stop):
        image, channel = plane // channels, plane % channels
        rectified = np.zeros((height + side - 1, width + 4), np.float32)
        padded = np.zeros((height + side - 1, width + 4), np.float32)
        for y in range(height):
            source, inner = x[image, channel, y], rectified[y + side // 2]
            outer, inner_gradient = gradient[image, first + channel, y], padded[y + side // 2]
            for i in range(width):
                inner[i + 2] = max(source[i], np.float32(0))
                inner_gradient[i + 2] = outer[i]
        line = np.zeros(width, np.float32)
        for y in range(height):
            line[:] = 0
            outer = gradient[image, first + channel, y]
            for ky in range(side):
                row = padded[y + side - 1 - ky]
                e, d, c, b, a = weight[channel, ky]
                for i in range(width):
                    line[i] += a * row[i] + b * row[i + 1] + c * row[i + 2] + d * row[i + 3] + e * row[i + 4]
                shifted = rectified[y + ky]
                a = b = c = d = e = np.float32(0)
                for i in range(width):
                    a += outer[i] * shifted[i]
                    b += outer[i] * shifted[i + 1]
                    c += outer[i] * shifted[i + 2]
                    d += outer[i] * shifted[i + 3]
                    e += outer[i] * shifted[i + 4]
                sums = to_weight[image, channel, ky]
                sums[0] += a
                sums[1] += b
                sums[2] += c
                sums[3] += d
                sums[4] += e
            source, target = x[image, channel, y], to_input[image, channel, y]
            for i in range(width):
                if source[i] > 0:
                    target[i] += line[i]
