"""Scores of the distance between surfaces: Hausdorff distance, average surface distance, normalised surface Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, prod

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks
from leanseg.types import Mask

Distances = NDArray[np.float64]

REACH = 2
"""How many voxels away the nearest surface is looked for directly, before a tree is built."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """How far two surfaces lie apart, measured once for all scores; made by :func:`surface_distances`.

    Where one mask is empty, every distance is the diagonal: a missed or invented structure scores the worst value and
    is never dropped. Where both are empty, there are no distances and every score is None.

    Args:
        from_prediction: for each surface voxel of the prediction the distance to the surface of the truth in mm.
        from_truth: for each surface voxel of the truth the distance to the surface of the prediction in mm.
        diagonal: of the image in mm.
    """

    from_prediction: Distances
    from_truth: Distances
    diagonal: float

    @property
    def both_empty(self) -> bool:
        """Neither mask holds a voxel."""
        return self.from_prediction.size + self.from_truth.size == 0

    @property
    def hd95(self) -> float | None:
        """The Hausdorff distance at the 95th percentile in mm."""
        return self.hausdorff(95)

    @property
    def average(self) -> float | None:
        """Average symmetric surface distance in mm: the mean over the voxels of both surfaces."""
        return None if self.both_empty else float(self._all().mean())

    def hausdorff(self, percentile: float = 100) -> float | None:
        """The larger one of both directed distances in mm, each at a percentile (linear between neighbours).

        Args:
            percentile: in [0, 100]; 100 is the Hausdorff distance proper.
        """
        directed = [d for d in (self.from_prediction, self.from_truth) if d.size]
        return max(float(np.percentile(d, percentile)) for d in directed) if directed else None

    def surface_dice(self, tolerance: float) -> float | None:
        """Normalised surface Dice: the share of voxels of both surfaces that lie within a tolerance of the other.

        Args:
            tolerance: in mm; a distance equal to it is within.

        Source:
            Nikolov et al., Clinically applicable segmentation of head and neck anatomy, J Med Internet Res 2021.
        """
        distances = self._all()
        # a distance of the whole diagonal means that the other surface does not exist, whatever the tolerance
        return None if self.both_empty else float(((distances <= tolerance) & (distances < self.diagonal)).mean())

    def _all(self) -> Distances:
        return np.concatenate([self.from_prediction, self.from_truth])


def surface_distances(
    prediction: Mask, truth: Mask, *, spacing: Sequence[float] | None = None, valid: Mask | None = None
) -> SurfaceDistances:
    """Measure how far the surfaces of two masks lie apart.

    The surface is made of voxels: those of the mask that have a neighbour (4 in 2-D, 6 in 3-D) outside it; what lies
    beyond the image's border, or is not valid, is outside. Distances run between centres of voxels and every voxel
    weighs the same. This is MONAI's definition, except for a missed structure (its HD95 is nan there and left out of
    the mean). DeepMind's surface-distance puts the surface between voxels, weighs its pieces by their area and does not
    interpolate percentiles: the largest distance is the same, averages and percentiles differ by less than a voxel.

    Args:
        prediction: (H, W) or (D, H, W).
        truth: the same shape.
        spacing: distance between neighbours along each array axis in mm; None measures in pixels.
        valid: True where pixels count.

    Raises:
        UsageError: masks are not boolean or differ in shape, or the spacing does not fit.

    Example:
        >>> truth = np.zeros((8, 8), bool)
        >>> truth[2:6, 2:6] = True
        >>> found = surface_distances(np.roll(truth, 1, axis=0), truth, spacing=(0.5, 0.5))
        >>> found.hausdorff(), found.surface_dice(0.5)
        (0.5, 1.0)
        >>> missed = surface_distances(np.zeros_like(truth), truth)
        >>> round(missed.hd95, 2), missed.surface_dice(1)
        (11.31, 0.0)
    """
    check_masks(truth.shape, prediction=prediction, truth=truth, valid=valid)
    steps = _steps(spacing, truth.ndim)
    if valid is not None:
        prediction, truth = prediction & valid, truth & valid
    diagonal = hypot(*np.multiply(truth.shape, steps))
    box = _bounding_box(prediction | truth)
    one, other = (surface(np.pad(mask[box], REACH)) for mask in (prediction, truth))
    if one.any() and other.any():
        return SurfaceDistances(_directed(one, other, steps), _directed(other, one, steps), diagonal)
    worst = [np.full(np.count_nonzero(mask), diagonal) for mask in (one, other)]
    return SurfaceDistances(worst[0], worst[1], diagonal)


def surface(mask: Mask) -> Mask:
    """The voxels of a mask with a neighbour (4 in 2-D, 6 in 3-D) outside it or outside the image.

    Args:
        mask: (H, W) or (D, H, W).

    Example:
        >>> surface(np.ones((3, 3), bool)).astype(int).tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis, length in enumerate(mask.shape):
        for start in (0, 2):
            window = [slice(1, -1)] * mask.ndim
            window[axis] = slice(start, start + length)
            inner &= padded[tuple(window)]
    return mask & ~inner


def _steps(spacing: Sequence[float] | None, dims: int) -> tuple[float, ...]:
    if dims not in (2, 3):
        raise UsageError(f"surfaces are measured in 2-D and 3-D, found a mask of {dims} dimensions; give one class")
    if spacing is None:
        return (1.0,) * dims
    if len(spacing) != dims or not all(0 < step < np.inf for step in spacing):
        raise UsageError(f"spacing needs {dims} positive lengths in mm, one for each array axis, found {spacing}")
    return tuple(float(step) for step in spacing)


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest part that holds every True; empty when there is none."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        there = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0))
    return tuple(box)


def _directed(origin: Mask, target: Mask, steps: tuple[float, ...]) -> Distances:
    """Distance from each voxel of one surface to the nearest voxel of the other, exact; both have a margin of REACH."""
    start, goal = np.flatnonzero(origin), target.ravel()
    distances: Distances = np.zeros(start.size)
    left = np.arange(start.size)
    # surfaces worth scoring mostly run close together: look at the nearest places first, one distance after the other
    for distance, shifts in _near(target.shape, steps):
        hit = goal[start[left] + shifts].any(axis=0)
        distances[left[hit]] = distance
        left = left[~hit]
    # one query of a tree costs about as much as the transform of ten voxels
    if 10 * left.size > target.size:
        distances[left] = distance_transform_edt(~target, sampling=steps).ravel()[start[left]]
    elif left.size:
        points = _points(np.flatnonzero(goal), target.shape, steps)
        tree = cKDTree(points, leafsize=32, balanced_tree=False, compact_nodes=False)
        distances[left] = tree.query(_points(start[left], target.shape, steps))[0]
    return distances


def _near(shape: tuple[int, ...], steps: tuple[float, ...]) -> list[tuple[float, NDArray[np.intp]]]:
    """Distances in mm up to REACH times the finest step, ascending, and the shifts (k, 1) in the flat array to them."""
    ways = np.indices((2 * REACH + 1,) * len(shape)).reshape(len(shape), -1).T - REACH
    lengths = np.sqrt(np.square(ways * np.array(steps)).sum(axis=1))
    shifts = ways @ np.array([prod(shape[axis + 1 :]) for axis in range(len(shape))], np.intp)
    found = np.unique(lengths[lengths <= REACH * min(steps)])
    return [(float(distance), shifts[lengths == distance, None]) for distance in found]


def _points(flat: NDArray[np.intp], shape: tuple[int, ...], steps: tuple[float, ...]) -> Distances:
    """Positions (n, dims) in mm from places in the flat array."""
    positions: Distances = np.stack(np.unravel_index(flat, shape), axis=1) * np.array(steps)
    return positions
