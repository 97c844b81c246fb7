"""Groups of images that show nearly the same, by perceptual hashes, so that a split can keep them together.

A hash compares lightness and colour in the large: it finds copies, crops, other compressions and frames next to each
other. The same place seen from another side is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components

MIDDLE = 0.8
"""Share of each side of the view that is looked at: its rim and its writing are alike in all images."""

DARK = 20
"""Level up to which rows and columns belong to the black frame around the view."""

SIDE, LOW = 32, 8
"""Pixels of the small copy, and how many of its frequencies count along each axis."""

NEAR = 40
"""Bits, of 189, by which two images of a group may differ: a crop by 2 % on each side moves up to 28, and of 120 images
of Kvasir-SEG no two are nearer than 44."""


def perceptual_hash(image: Any) -> Any:
    """Which low frequencies of lightness and of both colours are above their median: 189 of True or False.

    Args:
        image: (3, H, W) red, green, blue of 8 bits.

    Source:
        The hash of pHash (Zauner 2010), of the middle of the image and of three planes instead of one.
    """
    pixels = _view(np.moveaxis(image, 0, -1))
    inside = tuple(slice(round(n * (1 - MIDDLE) / 2), round(n * (1 + MIDDLE) / 2)) for n in pixels.shape[:2])
    small = cv2.resize(np.ascontiguousarray(pixels[inside]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    planes = np.moveaxis(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), -1, 0).astype(np.float32)
    found = np.stack([cv2.dct(plane)[:LOW, :LOW].ravel()[1:] for plane in planes])
    return (found > np.median(found, axis=1, keepdims=True)).ravel()


def _view(pixels: Any) -> Any:
    """Without the rows and columns that are black throughout, as one collection has and another cut away."""
    bright = pixels.max(-1) > DARK
    rows, columns = (np.flatnonzero(bright.mean(axis) > 0.1) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) and len(columns) else pixels


def near_duplicates(images: Sequence[Any]) -> list[int]:
    """The number of the group of each image; chains of images that are near each other are one group.

    Args:
        images: each (3, H, W) red, green, blue of 8 bits.

    Example:
        >>> random = np.random.default_rng(0)
        >>> one, other = (cv2.resize(random.integers(0, 256, (9, 9, 3), np.uint8), (300, 240)) for _ in range(2))
        >>> copy = cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
        >>> near_duplicates([np.moveaxis(image, -1, 0) for image in (one, other, copy, one[5:-5, 6:-6])])
        [0, 1, 0, 0]
        >>> barred = np.pad(np.moveaxis(one, -1, 0), ((0, 0), (30, 30), (0, 0)))
        >>> near_duplicates([np.moveaxis(one, -1, 0), barred])
        [0, 0]
    """
    hashes = np.stack([perceptual_hash(image) for image in images])
    differing = (hashes[:, None] != hashes[None]).sum(2)
    return [int(number) for number in connected_components(differing <= NEAR, directed=False)[1]]
