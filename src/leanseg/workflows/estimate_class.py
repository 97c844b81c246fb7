"""Estimates for one class: of a whole set of images, beside all simpler ones, and of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leanseg.estimate.baselines import confidence_baselines
from leanseg.estimate.degrade import sweep
from leanseg.estimate.in_context import FLAGS as IMAGE_FLAGS
from leanseg.estimate.in_context import ImageEstimate, References, calibrate, estimate_image
from leanseg.estimate.line import Form
from leanseg.estimate.pseudo import pseudo_scores
from leanseg.estimate.reverse import ReverseSegmenter, Taught
from leanseg.estimate.set_estimate import SetEstimate, estimate_set
from leanseg.estimate.set_metrics import scores_of
from leanseg.images.image import Image
from leanseg.types import Mask
from leanseg.workflows.estimate_masks import Seen

DRAWS = 5
"""Times that supports are drawn anew, for an interval that knows how much hangs on which images there are."""

FEWEST = 4
"""Held-out images that the estimate of single images needs."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Images whose truth is known.

    Args:
        images: as they were read.
        truths: (K, *spatial) for each.
        patients: whom they show.
    """

    images: Sequence[Image]
    truths: Sequence[Mask]
    patients: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What all classes are estimated from.

    Args:
        learnt: labelled images (A) that are segmented in reverse.
        held: labelled images (B) that the model did not learn from.
        images: the target (C).
        known: for each checkpoint, the held-out images as it saw them.
        target: for each checkpoint, the target images as it saw them.
        reverse: is taught by masks.
    """

    learnt: Labelled
    held: Labelled
    images: Sequence[Image]
    known: Sequence[Sequence[Seen]]
    target: Sequence[Sequence[Seen]]
    reverse: ReverseSegmenter

    @cached_property
    def taught(self) -> tuple[Taught, Taught]:
        """By the held-out and by the target images, before there are masks."""
        queries = [self.reverse.prepare(image.pixels) for image in self.learnt.images]
        supports = [[self.reverse.prepare(image.pixels) for image in part] for part in (self.held.images, self.images)]
        return self.reverse.fit(supports[0], queries), self.reverse.fit(supports[1], queries)


@dataclass(frozen=True, kw_only=True)
class ClassEstimate:
    """What one class is expected to score.

    Args:
        name: the class.
        whole: of the set of images.
        baselines: simpler estimates of the same.
        held_out: the mean score on the held-out images.
        single: Dice of each image; none where too few held-out images could calibrate it.
    """

    name: str
    whole: SetEstimate
    baselines: Mapping[str, float]
    held_out: float
    single: Sequence[ImageEstimate]


def estimate_class(
    evidence: Evidence, number: int, name: str, *, metric: str = "dice", form: Form = "difference", seed: int = 0
) -> ClassEstimate:
    """Estimate one class.

    Args:
        evidence: images, truths and masks.
        number: place of the class.
        name: of the class.
        metric: a name in :data:`leanseg.estimate.set_metrics.METRICS`.
        form: of the estimate.
        seed: of random supports.
    """
    learnt, held = evidence.learnt, evidence.held
    truths, queries = ([truth[number] for truth in part.truths] for part in (held, learnt))
    masks_b, masks_c = (
        [[seen.masks[number] for seen in row] for row in rows] for rows in (evidence.known, evidence.target)
    )
    # One checkpoint makes no line: its own masks, made worse, stand in for poorer ones.
    rows_b = masks_b if len(masks_b) > 1 else [*masks_b, *sweep(masks_b[0], seed=seed)]
    real = np.stack([scores_of(row, truths, metric) for row in rows_b])
    pseudo_b, pseudo_c = (
        pseudo_scores(taught, rows, queries, metric=metric, draws=DRAWS, seed=seed)
        for taught, rows in zip(evidence.taught, (rows_b, masks_c), strict=True)
    )
    place = len(masks_c) - 1
    patients = (list(learnt.patients), list(held.patients))
    whole = estimate_set(
        pseudo_b, pseudo_c, real, metric=metric, form=form, checkpoint=place, groups=patients, seed=seed
    )
    sure_b, sure_c = (
        [[seen.confidences[number] for seen in row] for row in rows] for rows in (evidence.known, evidence.target)
    )
    found = {**whole.baselines, **confidence_baselines(sure_b, sure_c, real[: len(sure_b)], metric=metric)}
    return ClassEstimate(
        name=name,
        whole=whole,
        baselines={key: float(values[place]) for key, values in found.items()},
        held_out=float(real[place].mean()),
        single=_single(evidence, number, truths, queries, seed),
    )


def _single(
    evidence: Evidence, number: int, truths: Sequence[Mask], queries: Sequence[Mask], seed: int
) -> list[ImageEstimate]:
    """The Dice of every target image."""
    if len(truths) < FEWEST or not any(truth.any() for truth in queries):
        return []
    references = References([image.pixels for image in evidence.learnt.images], queries, reverse=evidence.reverse)
    known, target = ([seen.masks[number] for seen in rows[-1]] for rows in (evidence.known, evidence.target))
    lessons = [references.teach(image.pixels, mask) for image, mask in zip(evidence.held.images, known, strict=True)]
    calibration = calibrate(lessons, scores_of(known, truths), groups=list(evidence.held.patients), seed=seed)
    return [
        estimate_image(image.pixels, mask, references, calibration)
        for image, mask in zip(evidence.images, target, strict=True)
    ]


def words(flags: Sequence[str]) -> str:
    """Flags of a single image in words."""
    return "; ".join(IMAGE_FLAGS[flag] for flag in flags)
