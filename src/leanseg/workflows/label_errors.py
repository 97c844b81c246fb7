"""Where labels are probably wrong: maps, corrected masks, a list with the worst first, and a page to look at them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.dataset import Case, Dataset
from leanseg.images.atomic import replacing
from leanseg.images.image import Image
from leanseg.images.resample import Resampling, resample_labels
from leanseg.images.write import write_labels, write_probabilities
from leanseg.report.contents import Picture, SegmentReport, Table
from leanseg.report.figures import error_overlay
from leanseg.report.html import write_report
from leanseg.types import Classes, Labels

FOLDER, CORRECTED, TABLE = "label-errors", "corrected", "label-errors.csv"
COLUMNS = ("image", "split", "expected_wrong_pixels", "changed_pixels", "changed_share")
SHOWN = 24
"""Pictures on the page."""

Findings = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """What is doubted about the labels of one image.

    Args:
        case: whose labels.
        expected: number of wrong pixels, the sum of their probabilities.
        changed: pixels whose corrected label differs.
        share: of the changed pixels in those that either label gives to a class.
    """

    case: Case
    expected: float
    changed: int
    share: float

    def row(self) -> tuple[object, ...]:
        """As in the table."""
        return self.case.stem, self.case.split, round(self.expected, 1), self.changed, round(self.share, 4)


def write_label_errors(dataset: Dataset, cases: Sequence[Case], findings: Sequence[Path], out: Path) -> Path | None:
    """Write ``OUT/label-errors``: wrong/, corrected/, label-errors.csv and report.html.

    Args:
        dataset: the labelled images.
        cases: those whose labels may be doubted.
        findings: files that fits left, one for each fold: ``wrong/STEM`` and ``right/STEM`` on the network's grid.
        out: the folder of the run.

    Returns:
        the folder, or None where no fit found anything about labels.
    """
    from safetensors.numpy import load_file

    found = [load_file(file) for file in findings if file.is_file()]
    folder = out / FOLDER
    doubts = []
    for case in cases:
        image = dataset.read_image(case)
        for wrong, right in _maps(found, case.stem, image.shape):
            given = dataset.read_labels(case, image=image)
            write_probabilities(wrong[None], like=image, classes=Classes(names=("wrong",)), folder=folder / "wrong")
            numbers, classes = _with_ignored(dataset, case, right, image)
            write_labels(numbers, like=image, classes=classes, folder=folder / CORRECTED)
            doubts.append(_doubt(case, given, right, wrong))
    if not doubts:
        return None
    doubts.sort(key=lambda doubt: -doubt.expected)
    with replacing(folder / TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *(doubt.row() for doubt in doubts)])
    pictures = [_picture(dataset, found, doubt) for doubt in doubts[:SHOWN]]
    write_report(_page(dataset, doubts, pictures), folder / "report.html")
    return folder


def _maps(found: Sequence[Findings], stem: str, shape: Sequence[int]) -> Iterator[tuple[NDArray[np.float32], Labels]]:
    """P(wrong), the mean of all folds, and the corrected labels that most of them give, at the size of the image."""
    known = [fold for fold in found if f"wrong/{stem}" in fold]
    if known:
        wrong = np.stack([fold[f"wrong/{stem}"][0] for fold in known]).mean(0, dtype=np.float32) / 255
        right = np.stack([fold[f"right/{stem}"][0] for fold in known])
        votes = np.stack([(right == number).sum(0) for number in range(int(right.max()) + 1)])
        way = Resampling(before=wrong.shape, after=tuple(shape))
        yield np.clip(way(wrong), 0, 1).astype(np.float32), resample_labels(votes.argmax(0).astype(np.uint8), way)


def _with_ignored(dataset: Dataset, case: Case, labels: Labels, image: Image) -> tuple[Labels, Classes]:
    """Pixels that do not count stay ignored in a corrected mask."""
    classes = dataset.classes
    if classes.ignore is None:
        return labels, classes
    valid = dataset.read_valid(case, image=image)
    names, values = (*classes.names, "ignored"), (*classes.values, classes.ignore)
    numbers = np.where(valid, labels, len(names)).astype(np.uint8)
    return numbers, Classes(names=names, values=values, background=classes.background)


def _doubt(case: Case, given: Labels, right: Labels, wrong: NDArray[np.float32]) -> Doubt:
    changed = int((given != right).sum())
    return Doubt(
        case=case,
        expected=float(wrong.sum()),
        changed=changed,
        share=changed / max(1, int(((given > 0) | (right > 0)).sum())),
    )


def _page(dataset: Dataset, doubts: Sequence[Doubt], pictures: Sequence[Picture]) -> SegmentReport:
    columns = ("image", "split", "expected wrong pixels", "changed pixels", "share of the object")
    return SegmentReport(
        title=f"Labels of {dataset.name or dataset.root.resolve().name} that may be wrong",
        facts={"Images": len(doubts), "Maps": "wrong/", "Corrected masks": "corrected/"},
        notes=(
            "Pictures show the given label: superfluous is what it draws and the correction does not, missed what it "
            "leaves out.",
            "Look before you accept. Where all labels err alike, the error looks like the truth and is not found.",
        ),
        table=Table(columns=columns, rows=[doubt.row() for doubt in doubts], title="Worst first", file=TABLE),
        pictures=pictures,
    )


def _picture(dataset: Dataset, found: Sequence[Findings], doubt: Doubt) -> Picture:
    image = dataset.read_image(doubt.case)
    given = dataset.read_labels(doubt.case, image=image)
    ((_, right),) = _maps(found, doubt.case.stem, image.shape)
    shown = error_overlay(image, right, given, classes=dataset.classes)
    return Picture.of(shown, title=doubt.case.stem, caption=f"{doubt.expected:.0f} pixels probably wrong")
