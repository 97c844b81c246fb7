"""After calibration: what the bundle will say about its own answers, learnt from images it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from rich.progress import track

from leanseg.bundle import Bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.estimate.fit_expected_dice import Seen, fit_expected_dice
from leanseg.estimate.fit_likeness import fit_likeness
from leanseg.estimate.spoil import FLAWS, spoilt
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor
from leanseg.metrics.overlap import confusion
from leanseg.quality.appearance import appearance, appearance_names
from leanseg.workflows.scoring import class_masks

LOOKED_AT = 100
"""Images from which the model learns what training images look like; more hardly change it."""

SPOILT = 100
"""Spoilt copies that a bundle learns from, shared by all its parts."""

STRENGTHS = (0.3, 0.6, 1.0)


def appraised(
    bundle: Bundle, parts: Sequence[Bundle], dataset: Dataset, unseen: Sequence[Sequence[Case]], *, flips: bool = False
) -> Bundle:
    """The bundle with an expected Dice for each class and with what its training images look like.

    Args:
        bundle: calibrated.
        parts: each of its networks as a written bundle of its own, calibrated likewise.
        dataset: the training data.
        unseen: the validation cases of each part.
        flips: average over mirrored copies.
    """
    seen: list[list[Seen]] = [[] for _ in bundle.classes.names]
    for part, cases in zip(parts, unseen, strict=True):
        for found in observe(Predictor(bundle=part, flips=flips), dataset, cases, spoilt_copies=SPOILT // len(parts)):
            for mine, one in zip(seen, found, strict=True):
                mine.append(one)
    fitted = {name: fit_expected_dice(mine) for name, mine in zip(bundle.classes.names, seen, strict=True)}
    quality = {name: model.to_dict() for name, model in fitted.items() if model is not None}
    return replace(bundle, quality=quality, reference=reference(bundle, dataset))


def observe(
    predictor: Predictor, dataset: Dataset, cases: Sequence[Case], *, spoilt_copies: int
) -> Iterator[tuple[Seen, ...]]:
    """Segment labelled images, and spoilt copies of them; one :class:`Seen` for each class.

    Args:
        predictor: a network that was not trained on the cases.
        dataset: knows how to read them.
        cases: with masks.
        spoilt_copies: at most so many, spread over the cases.
    """
    for number, case in enumerate(track(cases, description="judging masks", transient=True)):
        image = dataset.read_image(case)
        truth = class_masks(dataset.read_labels(case, image=image), dataset.classes)
        valid = dataset.read_valid(case, image=image)
        each = 2 if 2 * len(cases) <= spoilt_copies else int(number < spoilt_copies)
        for place, copy in enumerate([image, *_worse(image, number, each)]):
            found = predictor.whole(copy)
            masks = class_masks(found.labels, dataset.classes)
            dices = [confusion(said, true, valid=valid).dice for said, true in zip(masks, truth, strict=True)]
            yield tuple(
                Seen(traits=traits, dice=dice, patient=case.patient, spoilt=place > 0)
                for traits, dice in zip(found.traits, dices, strict=True)
            )


def _worse(image: Image, number: int, count: int) -> Iterator[Image]:
    flaws = list(FLAWS)
    for turn in range(2 * number, 2 * number + count):
        strength = STRENGTHS[turn % len(STRENGTHS)]
        yield spoilt(image, flaw=flaws[turn % len(flaws)], strength=strength, seed=number)


def reference(bundle: Bundle, dataset: Dataset, *, by_site: bool = False) -> dict[str, object]:
    """What the training and validation images look like to a model; empty where there are too few of them.

    Args:
        bundle: knows how images are prepared.
        dataset: the training data.
        by_site: for a model whose expected Dice was learnt from sites that its networks had not seen.
    """
    cases = (*dataset.subset("train"), *dataset.subset("val"))
    some = [cases[n] for n in np.linspace(0, len(cases) - 1, min(len(cases), LOOKED_AT)).round().astype(int)]
    looks = np.stack(
        [
            appearance(bundle.preprocessing.prepare(dataset.read_image(c)))
            for c in track(some, description="describing images", transient=True)
        ]
    )
    names = appearance_names(bundle.preprocessing.channels)
    sites = [case.site for case in some] if by_site else []
    fitted = fit_likeness(looks, names=names, patients=[case.patient for case in some], sites=sites)
    return {} if fitted is None else fitted.to_dict()
