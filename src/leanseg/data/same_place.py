"""Files of one size that show different places: mirrored, turned or moved against each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images.image import Image
from leanseg.images.read import read_mask_geometry

Affine = NDArray[np.float64]

NEAR = 0.5
"""Of the smallest side of a voxel: further apart than this, corners are not the same."""

REMEDY = "Resample it to the image's grid; if only the header is wrong, copy the image's."


def check_place(path: Path, image: Image) -> None:
    """See that a file shows the same place as its image.

    Args:
        path: a mask, or another channel.
        image: what it belongs to.

    Raises:
        InputError: it lies elsewhere, is mirrored or turned.
    """
    if problem := other_place(path, image):
        raise InputError(path, f"{problem}. {REMEDY}")


def other_place(path: Path, image: Image) -> str:
    """What is wrong with the place of a file that has the size of its image; empty where nothing is.

    Files that do not say where they lie, pictures for instance, are believed voxel by voxel.
    """
    here, there = (one.affine if one.placed else None for one in (image.geometry, read_mask_geometry(path)))
    if here is None or there is None:
        return ""
    sides = tuple(reversed(image.shape))
    apart, near = distance(here, there, sides), NEAR * float(np.linalg.norm(here[:3, :3], axis=0).min())
    if apart <= near:
        return ""
    mirrored = mirrored_axes(here, there, sides, near=near)
    how = f"it is mirrored along {' and '.join(mirrored)}" if mirrored else f"corners lie up to {apart:.3g} mm apart"
    return f"expected the place of its image, {image.source}, found another: {how}"


def distance(one: Affine, other: Affine, sides: Sequence[int]) -> float:
    """The largest distance in mm between the corners of two volumes of one size.

    Args:
        one, other: (4, 4) from (x, y, z, 1) indices to mm.
        sides: numbers of voxels along x, y and, for volumes, z.

    Example:
        >>> moved = np.diag([2.0, 2.0, 5.0, 1.0])
        >>> moved[0, 3] = 3.0
        >>> distance(np.diag([2.0, 2.0, 5.0, 1.0]), moved, (4, 4, 3))
        3.0
    """
    ends = [(0, side - 1) for side in (*sides, 1, 1)[:3]]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)], np.float64)
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max())


def mirrored_axes(one: Affine, other: Affine, sides: Sequence[int], *, near: float) -> list[str]:
    """The axes along which one volume is the mirror of the other; none where mirrors do not explain the difference.

    Args:
        one, other, sides: as for :func:`distance`.
        near: most mm between corners that are the same.

    Example:
        >>> mirrored_axes(np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0]) + np.eye(4, k=3) * 6, (7, 4, 3), near=0.5)
        ['x']
    """
    for chosen in itertools.product((False, True), repeat=len(sides)):
        mirror = np.eye(4)
        for axis, side in enumerate(sides):
            if chosen[axis]:
                mirror[axis, axis], mirror[axis, 3] = -1, side - 1
        if distance(one @ mirror, other, sides) <= near:
            return [name for name, used in zip("xyz", chosen, strict=False) if used]
    return []
