"""From a mask to single objects: a watershed that parts those that touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks, check_probabilities
from leanseg.types import Mask

Heights = NDArray[np.float32]
Parting = Callable[[Mask, Heights | None], NDArray[np.int32]]
"""Parts a mask into objects, with or without its probabilities: :func:`instances` with its options."""

Numbers = NDArray[np.int64]


def instances(
    mask: Mask,
    probability: Heights | None = None,
    *,
    separation: float = 1.0,
    smooth: float = 1.0,
    smallest: int = 0,
) -> NDArray[np.int32]:
    """Part a mask into objects that may touch.

    Heights are distances to the background, smoothed. A peak stands out by what one must climb down from it before a
    way leads up to a higher one (its dynamics). Peaks that stand out by at least ``separation`` (the h-maxima) and the
    highest peak of each connected piece are the markers; every pixel then flows uphill to its marker. So every pixel of
    the mask gets exactly one label, labels are connected, and pieces that lie apart are never joined; corners connect.

    Two discs of radius r whose centres lie d apart have peaks that stand out by r - sqrt(r² - d²/4). Smoothing and the
    pixel grid take up to two pixels off: with the defaults, from r = 5 on, 1 never parts them and 3.5 always does.
    The border of the image is no background: an object that it cuts keeps its peak there. Flips of the image flip the
    labels, except that pixels between equal heights may change sides; the number of labels stays (if smallest is 0).

    Args:
        mask: (H, W) or (D, H, W). Distances count pixels along every axis: bring a volume to equal spacing first.
        probability: a map in [0, 1] of the mask's shape; heights are multiplied by it, so that an uncertain seam parts
            objects that the outline alone does not.
        separation: how far a peak must stand out, in pixels, more than 0; the more, the fewer objects.
        smooth: standard deviation of the Gaussian in pixels; 0 leaves the distances as they are.
        smallest: pixels of the smallest object: no smaller part is cut off, and smaller pieces are removed.

    Returns:
        The shape of the mask: 0 = background, objects 1, 2, ... in reading order of their first peaks.

    Raises:
        UsageError: the mask is not boolean or not 2-D or 3-D, the map does not fit it, or an option is out of range.

    Source:
        Cousty et al., Watershed cuts, IEEE TPAMI 31(8), 2009 (minimum spanning forests, the drop of water principle);
        Grimaud, A new measure of contrast: the dynamics, SPIE 1769, 1992.

    Example:
        >>> y, x = np.indices((20, 34))
        >>> two = (np.hypot(y - 10, x - 10) < 8) | (np.hypot(y - 10, x - 23) < 8)
        >>> labels = instances(two)
        >>> int(labels.max()), bool(((labels > 0) == two).all())
        (2, True)
    """
    _check(mask, probability, separation, smooth, smallest)
    labels = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return labels
    graph = _Graph.of(mask, _heights(mask, probability, smooth))
    peaks, basins = _climb(graph)
    sizes = np.bincount(basins)
    tops = graph.heights[graph.places[peaks]]
    first = _merge(tops, sizes, _saddles(graph, basins), separation=separation, smallest=smallest)
    _, objects = np.unique(first, return_inverse=True)
    large = np.bincount(objects, weights=sizes) >= smallest
    labels[mask] = (np.cumsum(large) * large)[objects[basins]]
    return labels


def seams(objects: NDArray[np.int32]) -> Mask:
    """Pixels next to one of another object: without them a picture shows objects that touch as single ones.

    Args:
        objects: (H, W) or (D, H, W) of numbers, 0 = background.

    Returns:
        The same shape; of two such pixels the one that comes first.

    Example:
        >>> seams(np.array([[1, 1, 2, 0, 3]], np.int32)).astype(int).tolist()
        [[0, 1, 0, 0, 0]]
    """
    found = np.zeros(objects.shape, bool)
    for axis in range(objects.ndim):
        ahead, behind = np.moveaxis(objects, axis, 0)[:-1], np.moveaxis(objects, axis, 0)[1:]
        np.moveaxis(found, axis, 0)[:-1] |= (ahead != behind) & (ahead > 0) & (behind > 0)
    return found


def _check(mask: Mask, probability: Heights | None, separation: float, smooth: float, smallest: int) -> None:
    check_masks(mask.shape, mask=mask)
    if mask.ndim not in (2, 3):
        raise UsageError(f"objects are parted in 2-D and 3-D, found a mask of {mask.ndim} dimensions; give one class")
    if probability is not None:
        check_probabilities(probability)
        if probability.shape != mask.shape:
            found = f"found {probability.shape}; give the map of one class"
            raise UsageError(f"probability must have the mask's shape {mask.shape}, {found}")
    if not 0 < separation < np.inf:
        raise UsageError(f"separation must be more than 0 pixels, found {separation}; 1 suits most masks")
    if not 0 <= smooth < np.inf:
        raise UsageError(f"smooth must be 0 or more pixels, found {smooth}; 0 switches it off")
    if not smallest >= 0:
        raise UsageError(f"smallest must be 0 or more pixels, found {smallest}; 0 keeps every object")


def _heights(mask: Mask, probability: Heights | None, smooth: float) -> Heights:
    if mask.all():
        distance: Heights = np.ones(mask.shape, np.float32)  # no background, so the distance says nothing
    elif mask.ndim == 2:
        plane = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance = np.asarray(plane, np.float32)
    else:
        distance = ndimage.distance_transform_edt(mask).astype(np.float32)
    if probability is not None:
        distance = distance * probability.astype(np.float32)
    return ndimage.gaussian_filter(distance, smooth, mode="nearest") if smooth else distance


@dataclass(frozen=True, eq=False)
class _Graph:
    """The pixels of a mask and the ways between neighbours, corners included.

    Args:
        heights: flat, with a margin of one pixel; -inf outside the mask.
        places: where the pixels of the mask lie in ``heights``.
        numbers: flat, the inverse of ``places``; -1 outside the mask.
        steps: from a place to its neighbours and itself, ascending.
    """

    heights: Heights
    places: Numbers
    numbers: NDArray[np.int32]
    steps: list[int]

    @classmethod
    def of(cls, mask: Mask, heights: Heights) -> _Graph:
        padded = np.pad(np.where(mask, heights, np.float32(-np.inf)), 1, constant_values=-np.inf)
        strides = [stride // padded.itemsize for stride in padded.strides]
        steps = sorted(int(np.dot(way, strides)) for way in product((-1, 0, 1), repeat=mask.ndim))
        places = np.flatnonzero(np.pad(mask, 1))
        numbers = np.full(padded.size, -1, np.int32)
        numbers[places] = np.arange(places.size, dtype=np.int32)
        return cls(padded.ravel(), places, numbers, steps)


def _climb(graph: _Graph) -> tuple[Numbers, Numbers]:
    """The pixels that are peaks, and for each pixel the number of the peak at the end of its steepest way up."""
    best = np.full(graph.places.size, -np.inf, np.float32)
    above = graph.places.copy()
    for step in graph.steps:
        there = graph.heights[graph.places + step]
        # of equal heights the last place counts as higher, so that every flat top has one peak and no way is a circle
        better = there >= best
        best[better] = there[better]
        above[better] = graph.places[better] + step
    ends = graph.numbers[above]
    while not np.array_equal(further := ends[ends], ends):
        ends = further
    is_peak = ends == np.arange(ends.size)
    return np.flatnonzero(is_peak), (np.cumsum(is_peak) - 1)[ends]


def _saddles(graph: _Graph, basins: Numbers) -> Iterable[tuple[int, int, float]]:
    """Pairs of basins that touch and the height of the highest way across, highest first."""
    found = []
    for step in graph.steps[len(graph.steps) // 2 + 1 :]:
        others = graph.numbers[graph.places + step]
        here = np.flatnonzero((others >= 0) & (basins != basins[others]))
        pair = np.sort([basins[here], basins[others[here]]], axis=0)
        ends = graph.heights[graph.places[here]], graph.heights[graph.places[here] + step]
        found.append((*pair, np.minimum(*ends), np.maximum(*ends)))
    one, other, height, upper = (np.concatenate(parts) for parts in zip(*found, strict=True))
    # a pixel may be the saddle to several basins: the steepest way from it comes first
    down = np.lexsort((-upper, -height))
    _, first = np.unique((one * (basins.max() + 1) + other)[down], return_index=True)
    kept = down[np.sort(first)]
    return zip(one[kept].tolist(), other[kept].tolist(), height[kept].tolist(), strict=True)


def _merge(
    tops: Heights,
    sizes: Numbers,
    saddles: Iterable[tuple[int, int, float]],
    *,
    separation: float,
    smallest: int,
) -> Numbers:
    """The first basin of the object that each basin belongs to.

    Islands grow together while the water falls. Where two meet, the lower peak's dynamics are known: both become
    objects of their own, or the two basins at the saddle are parts of one object.
    """
    islands, objects = list(range(tops.size)), list(range(tops.size))
    peak, area = tops.tolist(), sizes.tolist()
    for one, other, height in saddles:
        a, b = _root(islands, one), _root(islands, other)
        if a == b:
            continue
        if min(peak[a], peak[b]) - height < separation or min(area[a], area[b]) < smallest:
            low, high = sorted((_root(objects, one), _root(objects, other)))
            objects[high] = low
        islands[b] = a
        peak[a], area[a] = max(peak[a], peak[b]), area[a] + area[b]
    return np.array([_root(objects, basin) for basin in range(tops.size)], np.int64)


def _root(parents: list[int], item: int) -> int:
    while parents[item] != item:
        parents[item] = item = parents[parents[item]]
    return item
