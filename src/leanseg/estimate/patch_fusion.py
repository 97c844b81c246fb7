"""The default reverse segmenter: labels travel from image to image between patches that look alike."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.estimate.prepare import Floats, Prepared, nearest, regridded, small_masks, thumbnails, z_scored
from leanseg.estimate.reverse import check_images
from leanseg.types import Mask, Pixels

USUAL = {2: (64, 5, 2), 3: (32, 3, 1)}
"""Dimensions -> size of the grid, side of a patch and reach."""


class PatchFusion:
    """Each pixel of a query takes the mean label of nearby pixels of similar images, weighed by how alike patches are.

    It needs no training. The weights that every query keeps take neighbours * (2 reach + 1)^ndim * size^ndim * 4 bytes,
    2 MB for images and 18 MB for volumes by default.

    Args:
        ndim: 2 for images (volumes slice by slice), 3 for volumes.
        size: pixels of the grid along each axis; by default 64, for volumes 32.
        patch: odd side of a patch in pixels of the grid; by default 5, for volumes 3.
        reach: how far a label may travel along each axis, in pixels of the grid; by default 2, for volumes 1.
        candidates: the most similar supports that are looked at for each query.
        neighbours: of them, the first that have a mask.
        softness: added to the smallest distance that divides all others.
        threads: processor threads; all by default.
        threshold: see :class:`leanseg.estimate.reverse.Taught`.

    Raises:
        UsageError: a number is out of range.

    Source:
        In the place of UniverSeg in SPE, arXiv 2504.15667; label fusion by patches as Coupe et al., NeuroImage 2011.

    Example:
        >>> fusion, image = PatchFusion(), np.arange(4096.0).reshape(1, 64, 64)
        >>> mask, known = image[0] > 3000, [fusion.prepare(image)]
        >>> found = fusion.fit(known, known).predict([mask])
        >>> bool(((found[0] > 0.5) == mask).mean() > 0.99)
        True
    """

    def __init__(
        self,
        *,
        ndim: Literal[2, 3] = 2,
        size: int | None = None,
        patch: int | None = None,
        reach: int | None = None,
        candidates: int = 12,
        neighbours: int = 5,
        softness: float = 1e-3,
        threads: int | None = None,
        threshold: float = 0.5,
    ) -> None:
        if ndim not in USUAL:
            raise UsageError(f"ndim is 2 for images or 3 for volumes, found {ndim}")
        given = (size, patch, reach)
        self.size, self.patch, self.reach = (u if g is None else g for g, u in zip(given, USUAL[ndim], strict=True))
        if self.size < 1 or self.patch < 1 or self.patch % 2 == 0 or self.reach < 0:
            msg = f"size {self.size}, patch {self.patch}, reach {self.reach}"
            raise UsageError(f"expected a positive size, an odd patch and a reach of at least 0, found {msg}")
        if not 1 <= neighbours <= candidates or not softness > 0:
            msg = f"neighbours {neighbours}, candidates {candidates}, softness {softness}"
            raise UsageError(f"expected 1 <= neighbours <= candidates and a positive softness, found {msg}")
        self.ndim, self.candidates, self.neighbours, self.softness = ndim, candidates, neighbours, softness
        self.threads, self.threshold = threads or os.cpu_count() or 1, threshold

    def prepare(self, image: Pixels) -> Prepared:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        if image.ndim != self.ndim + 1:
            msg = f"expected an image with {self.ndim + 1} axes, channels first, found {image.shape}"
            raise UsageError(f"{msg}; a volume goes slice by slice, or needs ndim=3")
        return z_scored(image, self.size)

    def fit(self, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> Fusion:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        check_images(supports, queries)
        return Fusion(self, supports, queries)

    def weights(self, query: Floats, supports: Sequence[Floats]) -> Floats:
        """How much each pixel of each support, at each offset, says about a pixel of the query.

        Args:
            query: (C, *size).
            supports: K of (C, *size).

        Returns:
            (K, *offsets, *size), adding up to 1 for each pixel of the query.
        """
        distances = np.stack([patch_distances(query, s, patch=self.patch, reach=self.reach) for s in supports])
        over = tuple(range(self.ndim + 1))
        least = distances.min(axis=over)
        np.subtract(least, distances, out=distances)
        distances /= least + np.float32(self.softness)
        weights: Floats = np.exp(distances, out=distances)
        weights /= weights.sum(axis=over)
        return weights


class Fusion:
    """Patches of all images compared; made by :meth:`PatchFusion.fit`.

    The weights for the first neighbours are kept. Where one of those has no mask, others take its place and the weights
    are made anew; a query of whose candidates none has a mask gets 0 everywhere.
    """

    def __init__(self, settings: PatchFusion, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> None:
        self.threshold = settings.threshold
        self._settings, self._supports, self._queries = settings, supports, queries
        order, _ = nearest(thumbnails(queries), thumbnails(supports), settings.candidates)
        self._candidates: list[list[int]] = order.tolist()
        with ThreadPoolExecutor(settings.threads) as pool:
            firsts = [row[: settings.neighbours] for row in self._candidates]
            self._kept = list(pool.map(self._weights, range(len(queries)), firsts))

    def predict(self, masks: Sequence[Mask | None]) -> list[NDArray[np.float32]]:
        """See :class:`leanseg.estimate.reverse.Taught`."""
        reach = self._settings.reach
        padded = [None if m is None else np.pad(m, reach, mode="edge") for m in small_masks(masks, self._supports)]
        with ThreadPoolExecutor(self._settings.threads) as pool:
            return list(pool.map(lambda query: self._fuse(query, padded), range(len(self._queries))))

    def _weights(self, query: int, chosen: Sequence[int]) -> Floats:
        return self._settings.weights(self._queries[query].pixels, [self._supports[k].pixels for k in chosen])

    def _fuse(self, query: int, padded: Sequence[Floats | None]) -> Floats:
        """The answer for one query; masks have a margin as wide as the reach."""
        image, settings = self._queries[query], self._settings
        size = image.pixels.shape[1:]
        masks = {k: mask for k in self._candidates[query] if (mask := padded[k]) is not None}
        chosen = list(masks)[: settings.neighbours]
        if not chosen:
            return np.zeros(image.shape, np.float32)
        usual = chosen == self._candidates[query][: settings.neighbours]
        weights = self._kept[query] if usual else self._weights(query, chosen)
        total = np.zeros(size, np.float32)
        offsets = "abc"[: settings.ndim]
        for weight, k in zip(weights, chosen, strict=True):
            total += np.einsum(f"{offsets}...,{offsets}...->...", weight, sliding_window_view(masks[k], size))
        return np.clip(regridded(total, image.shape), 0, 1)


def patch_distances(query: Floats, support: Floats, *, patch: int, reach: int) -> Floats:
    """Mean squared difference of the patches around each pixel u of one image and u + o of another; borders repeat.

    Args:
        query: (C, *size).
        support: the same shape.
        patch: odd side in pixels.
        reach: the largest |o| along each axis in pixels.

    Returns:
        (*offsets, *size), each offset running from -reach to reach.

    Example:
        >>> ramp = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
        >>> patch_distances(ramp, ramp, patch=1, reach=1)[1].tolist()
        [[[0.0, 1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 0.0]]]
    """
    dims, half = query.ndim - 1, patch // 2
    own = np.pad(query, [(0, 0), *[(half, half)] * dims], mode="edge")
    other = np.pad(support, [(0, 0), *[(half + reach, half + reach)] * dims], mode="edge")
    windows = sliding_window_view(other, own.shape[1:], axis=tuple(range(1, dims + 1)))
    difference = windows - own.reshape(len(own), *[1] * dims, *own.shape[1:])
    distances: Floats = np.square(difference, out=difference).mean(axis=0)
    for axis in range(dims, 2 * dims):
        length = distances.shape[axis] - patch + 1
        distances = np.add.reduce([_part(distances, axis, start, length) for start in range(patch)])
    return distances / np.float32(patch**dims)


def _part(values: Floats, axis: int, start: int, length: int) -> Floats:
    return values[(*[slice(None)] * axis, slice(start, start + length))]
