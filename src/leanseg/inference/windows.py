"""A network that looks at the whole of what it is shown, on more than it learnt from: overlapping windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from leanseg.images.resample import Region

Floats = NDArray[np.float32]

OVERLAP = 8
"""Neighbouring windows share at least one part in so many of their side."""


def window_rows(
    answer: Callable[[Region], Floats], shape: Sequence[int], *, window: int, divisor: int = 1
) -> Iterator[tuple[slice, Floats]]:
    """What a network says of all windows, blended where they overlap, from the first row of the grid to the last.

    All windows have the same size, the last ones end with the grid. Where several lie over a place, each weighs as much
    as the place is far from its edge.

    Args:
        answer: gives maps (K, *region) of a region of the grid.
        shape: of the grid, each a multiple of ``divisor``.
        window: side of a window in pixels; where the grid is smaller, all of it is one window.
        divisor: windows start at multiples of it.

    Returns:
        rows (slices of a volume) in order, with their maps (K, rows, ...).

    Example:
        >>> plane = np.arange(12, dtype=np.float32).reshape(1, 2, 6)
        >>> rows = list(window_rows(lambda region: plane[(slice(None), *region)], (2, 6), window=4))
        >>> bool(np.allclose(np.concatenate([maps for _, maps in rows], 1), plane))
        True
    """
    axes = [window_starts(size, window, divisor) for size in shape]
    sides = [min(window, size) for size in shape]
    weight = _weight(sides)
    held: Floats | None = None
    share = np.zeros((sides[0], *shape[1:]), np.float32)
    for number, first in enumerate(axes[0]):
        for rest in product(*axes[1:]):
            region = tuple(slice(start, start + side) for start, side in zip((first, *rest), sides, strict=True))
            maps = answer(region)
            held = np.zeros((len(maps), *share.shape), np.float32) if held is None else held
            across = (slice(None), *region[1:])
            held[(slice(None), *across)] += maps * weight
            share[across] += weight
        assert held is not None
        stop = axes[0][number + 1] if number + 1 < len(axes[0]) else first + sides[0]
        done = stop - first
        yield slice(first, stop), held[:, :done] / share[:done]
        for sums in (held, share[None]):
            sums[:, :-done] = sums[:, done:].copy()
            sums[:, -done:] = 0


def window_starts(size: int, window: int, divisor: int) -> list[int]:
    """Where the windows of one axis begin, as evenly spread as multiples of the divisor can be.

    Example:
        >>> window_starts(1000, 512, 8), window_starts(300, 512, 8)
        ([0, 240, 488], [0])
    """
    if size <= window:
        return [0]
    stride = max(1, (window - window // OVERLAP) // divisor)
    length = -(-(size - window) // divisor)
    count = -(-length // stride)
    return [length * number // count * divisor for number in range(count)] + [size - window]


def _weight(sides: Sequence[int]) -> Floats:
    """How far each pixel of a window is from its edge, along each axis, multiplied."""
    weight = np.ones((), np.float32)
    for side in sides:
        place = np.arange(side, dtype=np.float32)
        weight = np.multiply.outer(weight, np.minimum(place + 1, side - place) / np.float32(side))
    return np.asarray(weight, np.float32)
