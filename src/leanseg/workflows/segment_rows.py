"""The table of ``leanseg segment``: one row for each image and class."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from leanseg.images.atomic import replacing
from leanseg.images.image import Geometry
from leanseg.quality.light import Light, light
from leanseg.quality.traits import Traits
from leanseg.types import Quality


@dataclass(frozen=True, kw_only=True)
class SegmentRow:
    """What was found of one class in one image.

    Args:
        image: the file, as it was named.
        mask: the stem of everything written about it.
        name: the class.
        area_pixels: pixels or voxels of the class.
        shared_pixels: those that another class claims, too; None where classes cannot overlap.
        area_mm2: of a picture whose spacing is known.
        volume_mm3: of a volume whose spacing is known.
        fraction: share of the field of view.
        components: connected pieces.
        objects: objects after those that touch were parted; None unless asked for.
        mean_probability: inside the class; None where it is empty.
        expected_dice: what the model expects; None where it cannot tell.
        expected_low, expected_high: its interval.
        unlike: whether the image is unlike the training images.
        review: "look first", "look", "fine" or "unknown".
        why: the reason for the review.
        seconds: reading, segmenting and writing the image.
    """

    image: str
    mask: str
    name: str
    area_pixels: int
    shared_pixels: int | None
    area_mm2: float | None
    volume_mm3: float | None
    fraction: float
    components: int
    objects: int | None
    mean_probability: float | None
    expected_dice: float | None
    expected_low: float | None
    expected_high: float | None
    unlike: bool | None
    review: Light
    why: str
    seconds: float

    @classmethod
    def of(
        cls,
        traits: Traits,
        *,
        objects: int | None,
        shared: int | None,
        quality: Quality,
        below: float | None,
        image: str,
        mask: str,
        name: str,
        geometry: Geometry,
        seconds: float,
    ) -> SegmentRow:
        """Turn what was found into a row.

        Args:
            traits: of the class.
            objects: of the class, where they were counted.
            shared: pixels of the class that another class claims, too, where classes overlap.
            quality: of the image.
            below: the Dice that is good enough; None for the model's own.
            image: the file.
            mask: stem of what is written.
            name: the class.
            geometry: of the image.
            seconds: time the image took.
        """
        spacing = geometry.spacing
        size = traits.area * math.prod(spacing) if spacing is not None else None
        expected = quality.dice[name]
        review, why = light(expected, quality, below=below)
        return cls(
            image=image,
            mask=mask,
            name=name,
            area_pixels=traits.area,
            shared_pixels=shared,
            area_mm2=size if spacing is not None and len(spacing) == 2 else None,
            volume_mm3=size if spacing is not None and len(spacing) == 3 else None,
            fraction=traits.area / traits.field if traits.field else 0.0,
            components=traits.components,
            objects=objects,
            mean_probability=traits.inside / traits.area if traits.area else None,
            expected_dice=expected.value,
            expected_low=expected.low,
            expected_high=expected.high,
            unlike=quality.unlike,
            review=review,
            why=why,
            seconds=seconds,
        )


COLUMNS = tuple("class" if field.name == "name" else field.name for field in fields(SegmentRow))


def cells(row: SegmentRow) -> list[Any]:
    """A row in the order of :data:`COLUMNS`."""
    return [getattr(row, field.name) for field in fields(SegmentRow)]


class TableWriter:
    """Writes ``segmentation.csv`` as a whole each time, so that the file is complete whenever a run is cut off.

    Each writing at least doubles the rows since the last, and the end of the block, also by an error or Ctrl-C,
    writes what there is.

    Args:
        path: the file.
        before: rows of an earlier run that stay, as read from the file.
    """

    def __init__(self, path: Path, *, before: Iterable[Sequence[str]] = ()) -> None:
        self._path = path
        self._lines = [list(line) for line in before]
        self._written = 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def add(self, rows: Iterable[SegmentRow]) -> None:
        """Append the rows of one image."""
        self._lines += [["" if cell is None else _short(cell) for cell in cells(row)] for row in rows]
        if len(self._lines) >= min(2 * self._written, self._written + 100):
            self._write()

    def _write(self) -> None:
        with replacing(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *self._lines])
        self._written = len(self._lines)


def read_rows(path: Path) -> list[list[str]]:
    """Rows of an earlier ``segmentation.csv``; none where there is no such file or its columns are others."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    return lines[1:] if lines and tuple(lines[0]) == COLUMNS else []


def _short(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
