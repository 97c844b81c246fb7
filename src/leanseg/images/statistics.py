"""The low-resolution pass: a small picture of the whole source, from which field of view and statistics are taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanseg.images.image import PixelSource
from leanseg.types import Mask, Pixels

LONG_SIDE = {2: 512, 3: 128}
"""The overview's long side lies between this and twice this many pixels (or is the source's own, if smaller)."""

BAND = 2**21
"""Pixels that are read at once."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A source averaged over square blocks.

    Args:
        pixels: (C, *small) means of the blocks.
        block: side of a block in source pixels.
    """

    pixels: NDArray[np.float32]
    block: int


def overview(
    source: PixelSource, convert: Callable[[Pixels], NDArray[np.float32]], *, block: int | None = None
) -> Overview:
    """Average a source over blocks, band by band, so that memory stays bounded whatever its size.

    Args:
        source: (C, *spatial) pixels in memory or on disk.
        convert: from stored pixels to the channels of the model, pixel by pixel.
        block: side of a block in pixels; by default the long side then follows :data:`LONG_SIDE`.
    """
    block = block or max(1, max(source.shape) // LONG_SIDE[source.dims])
    band = block * max(1, BAND // math.prod(source.shape[1:]) // block)
    across = tuple(slice(0, size) for size in source.shape[1:])
    starts = range(0, source.shape[0], band)
    bands = [
        block_mean(convert(source.read((slice(start, min(start + band, source.shape[0])), *across))), block)
        for start in starts
    ]
    return Overview(pixels=np.concatenate(bands, axis=1), block=block)


def block_mean(pixels: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Mean of every block of (C, *spatial) pixels; the last blocks may be partial.

    Example:
        >>> block_mean(np.array([[[1.0, 3.0, 8.0]]], np.float32), 2).tolist()
        [[[2.0, 8.0]]]
    """
    if block == 1:
        return pixels
    result = pixels
    for axis in range(1, pixels.ndim):
        size = pixels.shape[axis]
        starts = np.arange(0, size, block)
        counts = np.minimum(starts + block, size) - starts
        shape = [1] * pixels.ndim
        shape[axis] = -1
        result = np.add.reduceat(result, starts, axis=axis, dtype=np.float32)
        result /= counts.astype(np.float32).reshape(shape)
    return result


def affine(kind: str, pixels: NDArray[np.float32], valid: Mask) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What to subtract from each channel and what to divide it by.

    Args:
        kind: "z-score" (mean 0, deviation 1), "percentile" (1st and 99th become 0 and 1) or "none".
        pixels: (C, *small) overview.
        valid: (*small) pixels that count.

    Example:
        >>> shift, divisor = affine("z-score", np.array([[[1.0, 3.0]]], np.float32), np.ones((1, 2), bool))
        >>> shift.tolist(), divisor.tolist()
        ([2.0], [1.0])
    """
    channels = pixels.shape[0]
    if kind == "none":
        return np.zeros(channels, np.float32), np.ones(channels, np.float32)
    values = pixels[:, valid].astype(np.float64)
    if kind == "z-score":
        shift, spread = values.mean(axis=1), values.std(axis=1)
    else:
        shift, high = np.percentile(values, [1, 99], axis=1)
        spread = high - shift
    # A constant channel carries no information: it becomes 0 everywhere instead of rounding noise blown up.
    flat = spread <= 1e-6 * np.maximum(1.0, np.abs(shift))
    return shift.astype(np.float32), np.where(flat, 1.0, spread).astype(np.float32)
