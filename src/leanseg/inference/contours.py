"""Outlines of masks as GeoJSON polygons, which QuPath and other viewers read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.types import Classes, Labels, Mask

Ring = list[list[int]]
"""Corners (x, y) of a closed line; the last one repeats the first."""

_STEPS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
"""(y, x) along an edge to the right, down, left and up, with the mask on the right-hand side."""


def contours(labels: Labels, *, classes: Classes, objects: Sequence[NDArray[np.int32]] | None = None) -> dict[str, Any]:
    """A GeoJSON collection with one polygon for each piece of each class, holes included.

    Coordinates are pixels, (0, 0) being the outer corner of the first one, so that a polygon covers exactly the area
    of its pixels and even a vessel one pixel wide is a valid polygon. Pieces that only touch at a corner are two.

    Args:
        labels: (H, W) or (D, H, W) class numbers; (K, *spatial) of 0/1 where classes overlap.
        classes: names and colours.
        objects: (*spatial) numbers of single objects for each class; each of them, whatever it touches, gets polygons
            of its own that have its number for a name.

    Example:
        >>> found = contours(np.array([[0, 1], [0, 0]], np.uint8), classes=Classes(names=("vessel",)))
        >>> found["features"][0]["geometry"]["coordinates"]
        [[[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]]]
    """
    features = []
    for number, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True)):
        mask = labels[number] > 0 if classes.overlapping else labels == number + 1
        properties = {
            "objectType": "annotation" if objects is None else "detection",
            "classification": {"name": name, "color": [int(colour[i : i + 2], 16) for i in (1, 3, 5)]},
        }
        drawn = mask if objects is None else objects[number]
        for z, plane in enumerate(drawn if mask.ndim == 3 else [drawn]):
            place = {"plane": {"c": -1, "z": z, "t": 0}} if mask.ndim == 3 else {}
            outlines = _single(plane) if objects is not None else ((rings, {}) for rings in polygons(plane))
            features += [
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": rings, **place},
                    "properties": properties | named,
                }
                for rings, named in outlines
            ]
    return {"type": "FeatureCollection", "features": features}


def _single(plane: NDArray[np.int32]) -> Iterator[tuple[list[Ring], dict[str, Any]]]:
    """The polygons of each object in (H, W) numbers, with its name."""
    for number, box in enumerate(ndimage.find_objects(plane), start=1):
        if box is not None:
            top, left = (side.start for side in box)
            for rings in polygons(plane[box] == number):
                yield [[[x + left, y + top] for x, y in ring] for ring in rings], {"name": str(number)}


def polygons(mask: Mask) -> list[list[Ring]]:
    """The outer ring of every piece (4-connected), clockwise on screen, and the rings of its holes the other way round.

    Example:
        >>> [len(rings) for rings in polygons(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool))]
        [2]
    """
    y, x, direction, pixel = _edges(mask)
    follower = _followers(y, x, direction, mask.shape[1] + 1).tolist()
    pieces, count = ndimage.label(mask)
    owner = pieces.ravel()[pixel].tolist()
    xs, ys, turns = x.tolist(), y.tolist(), direction.tolist()
    found: list[list[Ring]] = [[] for _ in range(count)]
    seen = bytearray(len(follower))
    for start in range(len(follower)):
        if seen[start]:
            continue
        ring, edge = [], start
        while not seen[edge]:
            seen[edge] = True
            after = follower[edge]
            if turns[after] != turns[edge]:
                ring.append([xs[after], ys[after]])
            edge = after
        # The first edge met of a piece is at its top: its outer ring comes before its holes.
        found[owner[start] - 1].append([*ring[-1:], *ring])
    return found


def _edges(mask: Mask) -> tuple[NDArray[np.int64], ...]:
    """Start (y, x), direction and inner pixel of every unit edge between mask and background, from the top down."""
    padded = np.pad(mask, 1)
    parts = []
    # Neighbour beyond the edge, and the corner of the pixel where the edge starts.
    for direction, (beyond, corner) in enumerate(
        [((0, 1), (0, 0)), ((1, 2), (0, 1)), ((2, 1), (1, 1)), ((1, 0), (1, 0))]
    ):
        outside = padded[beyond[0] : beyond[0] + mask.shape[0], beyond[1] : beyond[1] + mask.shape[1]]
        row, column = np.nonzero(mask & ~outside)
        pixel = row * mask.shape[1] + column
        parts.append(np.stack([row + corner[0], column + corner[1], np.full_like(row, direction), pixel]))
    edges = np.concatenate(parts, axis=1)
    return tuple(edges[:, np.lexsort((edges[2], edges[3]))])


def _followers(
    y: NDArray[np.int64], x: NDArray[np.int64], direction: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """Which edge comes after each one; where two pieces meet at a corner, the one that stays with its own piece."""
    step = _STEPS[direction]
    start, end = y * width + x, (y + step[:, 0]) * width + x + step[:, 1]
    order = np.argsort(start, kind="stable")
    first = np.searchsorted(start[order], end)
    candidate = order[first]
    second = order[np.minimum(first + 1, len(order) - 1)] if len(order) else candidate
    turns_right = (start[second] == end) & (direction[second] == (direction + 1) % 4)
    result: NDArray[np.int64] = np.where(turns_right, second, candidate)
    return result
