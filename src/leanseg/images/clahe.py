"""Contrast-limited adaptive histogram equalisation of lightness, learnt from a small picture of the whole image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.images.resample import Region
from leanseg.types import Mask

TILES = 8
"""Along each side of the image."""

LEVELS = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Clahe:
    """A curve of lightness for each of 8 x 8 tiles, and smooth steps between them.

    The curves come from the small picture, so that any part of a large image can be equalised by itself and equals the
    same part of the whole.

    Args:
        curves: (8, 8, 256) lightness in, lightness out, both in [0, 255].
        shape: (H, W) of the whole image.

    Source:
        Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994.

    Example:
        >>> grey = np.full((3, 64, 64), 100, np.float32)
        >>> equal = Clahe.of(grey, shape=(64, 64), limit=2.0)
        >>> whole = equal(grey, (slice(0, 64), slice(0, 64)))
        >>> bool(np.ptp(whole) < 0.5), whole.shape
        (True, (3, 64, 64))
    """

    curves: Floats
    shape: tuple[int, int]

    @classmethod
    def of(cls, small: Floats, *, shape: tuple[int, int], limit: float, valid: Mask | None = None) -> Clahe:
        """Learn the curves.

        Args:
            small: (3, h, w) red, green and blue in [0, 255], a small picture of the whole image.
            shape: (H, W) of the image.
            limit: the most that a level may weigh, as a multiple of an even share; the rest is spread over all levels.
            valid: (h, w) where pixels count; a tile without any takes the curve of the whole image.
        """
        lightness = np.clip(_to_lab(small)[0] * (255 / 100), 0, 255)
        inside = np.ones(lightness.shape, bool) if valid is None else valid
        whole = _curve(lightness[inside], limit)
        curves = np.empty((TILES, TILES, LEVELS), np.float32)
        rows, columns = (np.linspace(0, size, TILES + 1).round().astype(int) for size in lightness.shape)
        for i in range(TILES):
            for j in range(TILES):
                tile = np.s_[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
                values = lightness[tile][inside[tile]]
                curves[i, j] = _curve(values, limit) if values.size >= LEVELS else whole
        return cls(curves=curves, shape=shape)

    def __call__(self, pixels: Floats, region: Region) -> Floats:
        """Equalise a part of the image.

        Args:
            pixels: (3, *region) red, green and blue in [0, 255].
            region: where the part lies.
        """
        lab = _to_lab(pixels)
        lightness = np.clip(lab[0] * (255 / 100), 0, 255)
        level = np.minimum(lightness.astype(np.intp), LEVELS - 2)
        rest = lightness - level
        found, flat = np.zeros_like(lightness), self.curves.ravel()
        for i, weight_i in self._near(region[0], self.shape[0]):
            for j, weight_j in self._near(region[1], self.shape[1]):
                place = (i[:, None] * TILES + j) * LEVELS + level
                low, high = flat[place], flat[place + 1]
                found += weight_i[:, None] * weight_j * (low + rest * (high - low))
        lab[0] = found * (100 / 255)
        return _to_rgb(lab)

    @staticmethod
    def _near(part: slice, size: int) -> list[tuple[NDArray[np.intp], Floats]]:
        """For each pixel of a side, the tiles before and after its place, and how much each of them counts."""
        place = (np.arange(part.start, part.stop) + 0.5) * (TILES / size) - 0.5
        first = np.floor(place).astype(np.intp)
        after = (place - first).astype(np.float32)
        return [(np.clip(first, 0, TILES - 1), 1 - after), (np.clip(first + 1, 0, TILES - 1), after)]


def _curve(values: Floats, limit: float) -> Floats:
    """The cumulative histogram of lightness, no level weighing more than the limit."""
    if not values.size:
        return np.arange(LEVELS, dtype=np.float32)
    counts = np.bincount(values.astype(np.intp).ravel(), minlength=LEVELS) / values.size
    most = max(limit, 1.0) / LEVELS
    excess = np.maximum(counts - most, 0).sum()
    curve: Floats = (255 * np.cumsum(np.minimum(counts, most) + excess / LEVELS)).astype(np.float32)
    return curve


def _to_lab(pixels: Floats) -> Floats:
    planes = np.ascontiguousarray(np.moveaxis(pixels, 0, -1), np.float32) / np.float32(255)
    return np.moveaxis(np.asarray(cv2.cvtColor(planes, cv2.COLOR_RGB2LAB), np.float32), -1, 0).copy()


def _to_rgb(lab: Floats) -> Floats:
    planes = cv2.cvtColor(np.ascontiguousarray(np.moveaxis(lab, 0, -1)), cv2.COLOR_LAB2RGB)
    return np.asarray(np.clip(np.moveaxis(planes, -1, 0) * np.float32(255), 0, 255), np.float32)
