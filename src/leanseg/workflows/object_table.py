"""Single objects of an image: their measures, and files of their numbers and measures."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.images.atomic import replacing
from leanseg.images.image import PixelSource
from leanseg.images.write import class_folder, write_objects
from leanseg.types import Classes, Probabilities

AXES = "zyx"
STARTS, ENDS = {"z": "front", "y": "top", "x": "left"}, {"z": "back", "y": "bottom", "x": "right"}

Objects = NDArray[np.int32]


def object_rows(
    objects: Objects, probabilities: Probabilities, *, spacing: Sequence[float] | None
) -> tuple[list[str], list[list[Any]]]:
    """Measure every object.

    Args:
        objects: (*spatial) numbers, 0 = background.
        probabilities: (*spatial) of their class.
        spacing: mm along each axis; None when unknown.

    Returns:
        the names of the columns, and a row for each object: its number, size, centre, the box around it in pixels,
        whose ends do not belong to it, and the mean probability inside.

    Example:
        >>> numbers = np.array([[1, 1, 0], [0, 0, 2]], np.int32)
        >>> columns, rows = object_rows(numbers, np.full((2, 3), 0.75, np.float32), spacing=(2.0, 0.5))
        >>> columns
        ['object', 'area_pixels', 'area_mm2', 'y', 'x', 'top', 'bottom', 'left', 'right', 'mean_probability']
        >>> rows[0]
        [1, 2, 2.0, 0.0, 0.5, 0, 1, 0, 2, 0.75]
    """
    places = np.nonzero(objects)
    numbers, sizes = np.unique(objects[places], return_counts=True)
    order = np.searchsorted(numbers, objects[places])

    def means(values: NDArray[Any]) -> list[float]:
        return (np.bincount(order, weights=values, minlength=len(numbers)) / sizes).tolist()  # type: ignore[no-any-return]

    names = AXES[-objects.ndim :]
    kind = ("area_pixels", "area_mm2") if objects.ndim == 2 else ("voxels", "volume_mm3")
    box = [end[name] for name in names for end in (STARTS, ENDS)]
    columns = ["object", *kind, *names, *box, "mean_probability"]
    pixel = math.prod(spacing) if spacing is not None else None
    boxes = [found for found in ndimage.find_objects(objects) if found is not None]
    centres = zip(*(means(axis) for axis in places), strict=True)
    rows = [
        [number, size, "" if pixel is None else size * pixel, *centre,
         *(limit for side in around for limit in (side.start, side.stop)), probability]
        for number, size, centre, around, probability in zip(
            numbers.tolist(), sizes.tolist(), centres, boxes, means(probabilities[places]), strict=True
        )
    ]  # fmt: skip
    return columns, rows


def write_parted(
    parted: Sequence[Objects], probabilities: Probabilities, *, like: PixelSource, classes: Classes, folder: Path
) -> None:
    """Write ``<stem>.csv`` beside the numbers of each class's objects.

    Args:
        parted: (*spatial) numbers, for each class.
        probabilities: (K, *spatial).
        like: the source, whose stem names the files.
        classes: several get a folder each.
        folder: where to write.
    """
    for name, objects, maps in zip(classes.names, parted, probabilities, strict=True):
        place = folder if len(classes.names) == 1 else class_folder(folder, name)
        columns, rows = object_rows(objects, maps, spacing=like.geometry.spacing)
        write_objects(objects, like=like, folder=place)
        with replacing(place / f"{like.stem}.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *([_short(cell) for cell in row] for row in rows)])


def _short(cell: Any) -> Any:
    return f"{cell:.6g}" if isinstance(cell, float) else cell
