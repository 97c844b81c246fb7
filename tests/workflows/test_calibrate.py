"""Temperature and threshold undo an over-confidence that was put in on purpose."""

import numpy as np
import pytest

from leanseg.bundle import Bundle, Part
from leanseg.types import Classes
from leanseg.workflows.calibrate import Judged, calibrated


def judged(factor: float, shift: float, *, classes: int = 1) -> Judged:
    """Images whose truth follows a logit, said ``factor`` times too loud and ``shift`` too low."""
    random = np.random.default_rng(0)
    logits = random.normal(-1, 2, (3, classes, 60, 60))
    truths = [random.random(z.shape) < 1 / (1 + np.exp(-z)) for z in logits]
    said = [(1 / (1 + np.exp(-(factor * z + shift)))).astype(np.float32) for z in logits]
    return Judged(probabilities=said, truths=truths, valid=[np.ones((60, 60), bool)] * 3)


def bundle(count: int = 1) -> Bundle:
    names = tuple("abc"[:count])
    classes = Classes(names=names, overlapping=count > 1)
    return Bundle(name="m", parts=(Part(net="mini-net", onnx="m.onnx"),), classes=classes)


def test_loud_probabilities_get_a_temperature() -> None:
    assert calibrated(bundle(), judged(3.0, 0.0)).parts[0].temperature == (pytest.approx(3.0, rel=0.1),)


def test_low_probabilities_get_a_low_threshold() -> None:
    even = calibrated(bundle(), judged(1.0, 0.0)).threshold[0]
    low = calibrated(bundle(), judged(1.0, -2.0)).threshold[0]
    assert low < even - 0.05


def test_every_class_has_its_threshold() -> None:
    assert len(calibrated(bundle(2), judged(1.0, 0.0, classes=2)).threshold) == 2


def test_overlapping_classes_have_a_temperature_each() -> None:
    one, other = judged(3.0, 0.0), judged(0.5, 0.0)
    both = Judged(
        probabilities=[np.concatenate(maps) for maps in zip(one.probabilities, other.probabilities, strict=True)],
        truths=[np.concatenate(masks) for masks in zip(one.truths, other.truths, strict=True)],
        valid=one.valid,
    )
    found = calibrated(bundle(2), both).parts[0].temperature
    assert found == (pytest.approx(3.0, rel=0.1), pytest.approx(0.5, rel=0.1))


def test_a_class_that_no_image_shows_keeps_its_temperature_and_an_even_threshold() -> None:
    given = judged(3.0, 0.0, classes=2)
    unseen = Judged(
        probabilities=given.probabilities, truths=[t & [[[True]], [[False]]] for t in given.truths], valid=given.valid
    )
    found = calibrated(bundle(2), unseen)
    assert found.parts[0].temperature[1] == 1.0
    assert found.threshold[1] == 0.5


def test_pixels_that_do_not_count_change_nothing() -> None:
    given = judged(2.0, 0.0)
    spoilt = Judged(
        probabilities=[np.where(np.arange(60) < 30, p, 0.99).astype(np.float32) for p in given.probabilities],
        truths=given.truths,
        valid=[np.broadcast_to(np.arange(60) < 30, (60, 60))] * 3,
    )
    cut = Judged(
        probabilities=[p[..., :30] for p in given.probabilities],
        truths=[t[..., :30] for t in given.truths],
        valid=[np.ones((60, 30), bool)] * 3,
    )
    assert calibrated(bundle(), spoilt).parts == calibrated(bundle(), cut).parts
