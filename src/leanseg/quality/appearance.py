"""What an image looks like to a network, in about fifteen numbers: brightness, contrast, fine detail, noise, size."""

from __future__ import annotations

import math
from itertools import pairwise, product

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.images.preprocess import Prepared
from leanseg.images.resample import Region

SIDE = 192
"""Of the windows that are looked at, in pixels of the network's grid; at most three along each axis."""

SCALES = (0.7, 1.4, 2.8)
"""Standard deviations of the blurs, in pixels, between which detail is measured."""

ENOUGH = 30_000
"""Pixels from which quantiles are taken."""

TINY = 1e-6

Floats = NDArray[np.float64]


def appearance_names(channels: tuple[str, ...]) -> tuple[str, ...]:
    """What :func:`appearance` measures, for a model with these channels.

    Example:
        >>> appearance_names(("grey",))[:3]
        ('level of grey', 'contrast of grey', 'asymmetry')
    """
    each = [f"{what} of {name}" for name in channels for what in ("level", "contrast")]
    return (*each, "asymmetry", "tails", *(f"detail {n}" for n in range(1, len(SCALES) + 1)), "noise", "field", "size")


def appearance(prepared: Prepared) -> Floats:
    """Describe an image, at a cost that does not grow with its size.

    Args:
        prepared: the image on the network's grid; of a volume, three slices are looked at.

    Returns:
        (D,) numbers in the order of :func:`appearance_names`, on scales on which images of one kind differ evenly.
    """
    looks, shares = [], []
    for window in _windows(prepared.shape):
        pixels = prepared.read(window).reshape(len(prepared.shift), *[p.stop - p.start for p in window[-2:]])
        valid = prepared.valid(window).reshape(pixels.shape[1:])
        shares.append(float(valid.mean()))
        if valid.any():
            looks.append((pixels, valid))
    values = np.concatenate([pixels[:, valid] for pixels, valid in looks], axis=1).astype(np.float64)
    levels = values.mean(1) * prepared.divisor + prepared.shift
    contrasts = np.log(values.std(1) * prepared.divisor + TINY)
    size = math.log(math.prod(prepared.shape)) / len(prepared.shape)
    grey = [(pixels.mean(0), valid) for pixels, valid in looks]
    parts = [np.stack([levels, contrasts], 1).ravel(), _shape(values.mean(0)), _texture(grey)]
    return np.concatenate([*parts, np.array([np.mean(shares), size])])


def _windows(shape: tuple[int, ...]) -> list[Region]:
    """Evenly placed windows; single slices of a volume."""
    axes = []
    for axis, size in enumerate(shape):
        side = 1 if axis == 0 and len(shape) == 3 else min(SIDE, size)
        count = min(3, math.ceil(size / side))
        starts = [(size - side) // 2] if count == 1 else np.linspace(0, size - side, count).round().astype(int)
        axes.append([slice(int(start), int(start) + side) for start in starts])
    return list(product(*axes))


def _shape(grey: Floats) -> Floats:
    """Of the distribution of grey values: its asymmetry and the length of its tails."""
    some = grey[:: max(1, len(grey) // ENOUGH)]
    least, low, middle, high, most = np.quantile(some, [0.01, 0.1, 0.5, 0.9, 0.99])
    body = max(high - low, TINY)
    return np.array([(high + low - 2 * middle) / body, math.log(max(most - least, TINY) / body)])


def _texture(looks: list[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> Floats:
    """Strength of detail between neighbouring blurs beside all contrast, and of the finest where there are no edges."""
    sums, fine, every = np.zeros(len(SCALES)), [], []
    count = 0
    for grey, valid in looks:
        inner = cv2.erode(valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE) > 0
        inside = inner if inner.any() else valid
        stack = [grey, *(cv2.GaussianBlur(grey, (0, 0), scale) for scale in SCALES)]
        bands = [(a - b)[inside] for a, b in pairwise(stack)]
        sums += [float(np.square(band, dtype=np.float64).sum()) for band in bands]
        count += int(inside.sum())
        fine.append(np.abs(bands[0]))
        every.append(grey[inside])
    whole = math.log(float(np.concatenate(every).std()) + TINY)
    strength = np.log(np.sqrt(sums / count) + TINY)
    finest = np.concatenate(fine)
    smooth = math.log(float(np.median(finest[:: max(1, len(finest) // ENOUGH)])) + TINY)
    return np.array([*(strength - whole), smooth - strength[0]])
