"""Cut a grid into overlapping tiles whose middles fit together without a seam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from leanseg.errors import UsageError
from leanseg.images.resample import Region


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One piece of a grid.

    Args:
        outer: what the net sees.
        core: what its answer is kept for; the cores of all tiles cover the grid exactly once.
    """

    outer: Region
    core: Region

    @property
    def inner(self) -> Region:
        """The core as a part of the outer region."""
        return tuple(slice(c.start - o.start, c.stop - o.start) for c, o in zip(self.core, self.outer, strict=True))


def plan_tiles(shape: Sequence[int], *, tile: Sequence[int], halo: int, divisor: int) -> list[list[Tile]]:
    """Tiles of one size that cover a grid, in rows.

    The answers equal those of the whole for a net that looks no further than ``halo`` and whose lower resolutions
    start at the grid's origin: every tile starts at a multiple of ``divisor``, ends with the grid or is cut at least a
    halo away from its core.

    Args:
        shape: size of the grid, each a multiple of ``divisor``.
        tile: wanted size; it is cut to the grid and rounded down to multiples of ``divisor``.
        halo: pixels around a place that its answer depends on.
        divisor: pixels of the coarsest resolution of the net.

    Returns:
        tiles that share their place on the first axis, one list for each place.

    Raises:
        UsageError: the tile is not larger than its two halos.

    Example:
        >>> rows = plan_tiles((8, 20), tile=(8, 12), halo=4, divisor=4)
        >>> [[(t.outer[1].start, t.outer[1].stop, t.core[1].start, t.core[1].stop) for t in row] for row in rows]
        [[(0, 12, 0, 8), (4, 16, 8, 12), (8, 20, 12, 20)]]
    """
    axes = [_axis(n, t, halo=halo, divisor=divisor) for n, t in zip(shape, tile, strict=True)]
    return [
        [
            Tile(outer=tuple(outer for outer, _ in places), core=tuple(core for _, core in places))
            for places in product([first], *axes[1:])
        ]
        for first in axes[0]
    ]


def smallest_tile(*, halo: int, divisor: int) -> int:
    """The least side of a tile that is cut on both sides."""
    return 2 * round_up(halo, divisor) + divisor


def round_up(size: int, divisor: int) -> int:
    """The next multiple.

    Example:
        >>> round_up(5, 4), round_up(8, 4)
        (8, 8)
    """
    return -(-size // divisor) * divisor


def _axis(size: int, tile: int, *, halo: int, divisor: int) -> list[tuple[slice, slice]]:
    if size % divisor:
        raise UsageError(f"a grid of {size} pixels is no multiple of {divisor}; pad it first")
    tile -= tile % divisor
    if size <= tile:
        return [(slice(0, size), slice(0, size))]
    if tile < smallest_tile(halo=halo, divisor=divisor):
        least = smallest_tile(halo=halo, divisor=divisor)
        raise UsageError(f"a tile of {tile} pixels is too small for a halo of {halo}: it needs {least}")
    margin = round_up(halo, divisor)
    places, start, done = [], 0, 0
    while done < size:
        start = min(start, size - tile)
        stop = start + tile
        end = size if stop == size else stop - margin
        places.append((slice(start, stop), slice(done, end)))
        start, done = end - margin, end
    return places
