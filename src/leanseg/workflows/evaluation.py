"""Scores every answer for every case of a dataset; ``evaluate`` and the end of ``train`` rest on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.dataset import Case, Dataset
from leanseg.errors import InputError
from leanseg.images.digest import pixel_digest
from leanseg.images.image import Image
from leanseg.inference.instances import Parting
from leanseg.report.contents import Picture
from leanseg.report.figures import error_overlay
from leanseg.types import Mask
from leanseg.workflows.contestants import Answer, Contestant
from leanseg.workflows.extremes import Extremes
from leanseg.workflows.object_scores import with_objects
from leanseg.workflows.scoring import DEFAULT, ClassScores, Tolerance, class_masks, score_case
from leanseg.workflows.summary import ClassSummary, ModelComparison, compare_first_two, summarise


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was scored.

    Args:
        rows: scores of every image, class and model.
        summaries: means with intervals for each model and class.
        comparisons: first model minus second; empty with one model.
        failed: file and reason of all that could not be used.
        worst: error overlays of the first model's worst cases, worst first.
        best: error overlays of its best cases, best first.
        known: for each model how many of the images it had been trained on, where there are any.
    """

    rows: tuple[ClassScores, ...]
    summaries: tuple[ClassSummary, ...]
    comparisons: tuple[ModelComparison, ...]
    failed: tuple[tuple[str, str], ...]
    worst: tuple[Picture, ...]
    best: tuple[Picture, ...]
    known: Mapping[str, int] = field(default_factory=dict)

    def of_site(self, site: str) -> Evaluation:
        """With summaries and comparisons of the images of one site; the rows of all sites stay."""
        rows = [row for row in self.rows if row.site == site]
        return replace(self, summaries=tuple(summarise(rows)), comparisons=tuple(compare_first_two(rows)))

    @property
    def exit_code(self) -> int:
        """0 everything was scored, 1 nothing was, 3 some files could not be used."""
        return 1 if not self.rows else 3 if self.failed else 0


def evaluate_cases(
    dataset: Dataset,
    cases: Sequence[Case],
    contestants: Sequence[Contestant],
    *,
    tolerance: Tolerance = DEFAULT,
    cl_dice: bool = False,
    parting: Parting | None = None,
    trained_on: Mapping[str, frozenset[str]] = MappingProxyType({}),
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Let every contestant answer for every case, and score the answers.

    An answer that is missing or does not fit counts as a miss and is listed; an image whose own files are broken is
    listed and left out.

    Args:
        dataset: knows how to read the cases.
        cases: what is scored.
        contestants: models or folders of masks; the first two are compared.
        tolerance: for normalised surface Dice.
        cl_dice: also score centre lines.
        parting: also score single objects, made of each mask by this.
        trained_on: for models, by name, the digests of the images that they learnt from; such are counted.
        advance: called after each case.
    """
    rows: list[ClassScores] = []
    failed: list[tuple[str, str]] = []
    extremes, known = Extremes(), Counter[str]()
    score = partial(score_case, classes=dataset.classes, tolerance=tolerance, cl_dice=cl_dice)
    for case in cases:
        try:
            seen = _read(dataset, case, with_objects=parting is not None)
        except InputError as error:
            failed.append((str(error.path), error.message))
            advance()
            continue
        digest = pixel_digest(seen.image) if any(trained_on.values()) else ""
        known.update(name for name, digests in trained_on.items() if digest in digests)
        for number, contestant in enumerate(contestants):
            answer = _answer(contestant, case, seen, failed)
            found = _scored(case, seen, answer, score=score, parting=parting, model=contestant.name)
            rows += found
            dices = [dice for row in found if (dice := row.scores["dice"]) is not None]
            if number == 0 and dices:
                draw = partial(_picture, dataset, seen, answer.masks, case.stem, found)
                extremes.consider(float(np.mean(dices)), draw)
        advance()
    return Evaluation(
        rows=tuple(rows),
        summaries=tuple(summarise(rows)),
        comparisons=tuple(compare_first_two(rows)),
        failed=tuple(failed),
        worst=tuple(extremes.worst),
        best=tuple(extremes.best),
        known=dict(known),
    )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A case after reading it: masks are (K, *spatial), the others (*spatial)."""

    image: Image
    truth: Mask
    valid: Mask
    objects: NDArray[Any] | None


def _read(dataset: Dataset, case: Case, *, with_objects: bool) -> _Seen:
    image = dataset.read_image(case)
    return _Seen(
        image=image,
        truth=class_masks(dataset.read_labels(case, image=image), dataset.classes),
        valid=dataset.read_valid(case, image=image),
        objects=dataset.read_objects(case, image=image) if with_objects else None,
    )


def _scored(
    case: Case,
    seen: _Seen,
    answer: Answer,
    *,
    score: Callable[..., Sequence[ClassScores]],
    parting: Parting | None,
    model: str,
) -> list[ClassScores]:
    """Scores of each class, of single objects where these are parted, and what the contestant expected."""
    both: dict[str, Any] = {"truth": seen.truth, "prediction": answer.masks, "probabilities": answer.probabilities,
                            "valid": seen.valid}  # fmt: skip
    found = score(case, **both, spacing=seen.image.geometry.spacing, model=model)
    if parting:
        found = with_objects(found, **both, said=answer.objects, objects=seen.objects, parting=parting)
    return _hoped(found, answer)


def _hoped(rows: Sequence[ClassScores], answer: Answer) -> list[ClassScores]:
    """With the Dice that the contestant expected, where it says so."""
    if not answer.expected:
        return list(rows)
    return [replace(row, expected=one) for row, one in zip(rows, answer.expected, strict=True)]


def _answer(contestant: Contestant, case: Case, seen: _Seen, failed: list[tuple[str, str]]) -> Answer:
    try:
        return contestant.answer(case, seen.image)
    except InputError as error:
        failed.append((str(error.path), error.message))
        return Answer(np.zeros_like(seen.truth))


def _picture(dataset: Dataset, seen: _Seen, prediction: Mask, stem: str, rows: Sequence[ClassScores]) -> Picture:
    overlapping = replace(dataset.classes, overlapping=True)
    drawn, said = seen.truth.astype(np.uint8), prediction.astype(np.uint8)
    shown = error_overlay(seen.image, drawn, said, classes=overlapping, valid=seen.valid, legend=False)
    dices = [(row.name, row.scores["dice"]) for row in rows if row.scores["dice"] is not None]
    caption = ", ".join(f"{name} {dice:.3f}" for name, dice in dices)
    return Picture.of(shown, title=stem, caption=f"Dice {caption}")
