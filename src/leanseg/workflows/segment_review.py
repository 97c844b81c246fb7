"""Which of the segmented images need a person, those that need one most first."""

from __future__ import annotations

import csv
from pathlib import Path

from leanseg.images.atomic import replacing
from leanseg.quality.light import urgency
from leanseg.workflows.segment_rows import COLUMNS, SegmentRow, read_rows

REVIEW = "review.csv"
WRITTEN = ("image", "mask", "class", "review", "why", "expected_dice", "expected_low", "expected_high")


def need(row: SegmentRow) -> tuple[int, float]:
    """A key that sorts rows by how much they need a person."""
    return urgency(row.review, row.expected_low if row.expected_low is not None else row.expected_dice)


def write_review(out: Path) -> Path:
    """List all images of ``segmentation.csv``, earlier runs included, that are not fine.

    Args:
        out: the folder of the run.
    """
    rows = [dict(zip(COLUMNS, line, strict=True)) for line in read_rows(out / "segmentation.csv")]
    listed = [row for row in rows if row["review"] != "fine"]
    listed.sort(key=_written_need)
    with replacing(out / REVIEW) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(WRITTEN)
        writer.writerows([row[name] for name in WRITTEN] for row in listed)
    return out / REVIEW


def _written_need(row: dict[str, str]) -> tuple[int, float]:
    value = row["expected_low"] or row["expected_dice"]
    return urgency(row["review"], float(value) if value else None)
