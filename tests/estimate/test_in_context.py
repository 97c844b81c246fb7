"""The Dice to expect of one prediction (oracle 11 of the specification)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from leanseg.errors import UsageError
from leanseg.estimate.degrade import degrade
from leanseg.estimate.in_context import FLAGS, Lesson, References, calibrate, estimate_image
from leanseg.estimate.patch_fusion import PatchFusion
from leanseg.estimate.set_metrics import overlap

REFERENCES = range(16)


@pytest.fixture(scope="module")
def references(scene: Callable) -> References:
    scenes = [scene(seed) for seed in REFERENCES]
    return References([s[0] for s in scenes], [s[1] for s in scenes], reverse=PatchFusion(), count=8)


def predictions(scene: Callable, seeds: range) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Images, masks that are off by more or less, and their Dice."""
    made = []
    for seed in seeds:
        image, truth = scene(seed)
        mask = degrade(truth, seed % 12, seed=seed)
        made.append((image, mask, overlap(mask, truth)))
    return made


def test_the_true_mask_teaches_better_than_a_moved_one(scene: Callable, references: References) -> None:
    better = []
    for seed in range(100, 130):
        image, mask = scene(seed)
        own, moved = references.teach(image, mask), references.teach(image, np.roll(mask, 10, axis=1))
        better.append(own.strength() >= moved.strength())
        assert own.scores.shape == (8,) and own.distance == moved.distance
    assert np.mean(better) >= 0.9


def test_estimates_follow_the_real_dice(scene: Callable, references: References) -> None:
    """Learning oracle: far better than the mean Dice of the calibration images, and covered as promised."""
    known = predictions(scene, range(200, 260))
    dice = np.array([score for _, _, score in known])
    calibration = calibrate([references.teach(image, mask) for image, mask, _ in known], dice)
    off, hits = [], []
    for image, mask, score in predictions(scene, range(300, 340)):
        found = estimate_image(image, mask, references, calibration)
        off.append(abs(found.dice - score))
        hits.append(found.interval[0] <= score <= found.interval[1])
    spread = np.abs(dice - np.median(dice)).mean()
    assert np.mean(off) < 0.5 * spread
    assert np.mean(hits) > 0.8


def lessons(count: int = 50) -> list[Lesson]:
    return [Lesson(scores=np.array([s / 2, s]), distance=1.0 + s) for s in np.linspace(0, 1, count)]


def test_an_empty_mask_and_an_unlike_image_are_flagged(scene: Callable, references: References) -> None:
    image, mask = scene(400)
    near = references.teach(image, mask).distance
    scores = np.linspace(0, 1, 50)
    far, close = (
        calibrate([Lesson(scores=np.array([s]), distance=distance) for s in scores], scores)
        for distance in (near + 1, near - 0.01)
    )
    assert estimate_image(image, mask, references, far).flags == ()
    assert estimate_image(image, mask, references, close).flags == ("outside_calibration",)
    empty = estimate_image(image, mask & False, references, far)
    assert empty.flags == ("empty",) and empty.strength == 0
    flat = calibrate(lessons(), np.linspace(1, 0, 50))
    assert estimate_image(image, mask, references, flat).flags[-1] == "flat"
    assert set(FLAGS) == {"empty", "outside_calibration", "flat"}


def test_strength_and_spread() -> None:
    lesson = Lesson(scores=np.array([0.1, 0.9, 0.5, 0.8, 0.4, 0.2, 0.7]), distance=1.0)
    assert lesson.strength() == 0.9 and lesson.strength(3) == pytest.approx(0.8)
    assert lesson.spread == pytest.approx(np.std([0.9, 0.8, 0.7, 0.5, 0.4]))
    nothing = Lesson(scores=np.empty(0), distance=1.0)
    assert nothing.strength() == nothing.strength(3) == nothing.spread == 0


def test_the_mean_of_the_best_is_used_in_calibration_and_estimate() -> None:
    dice = np.linspace(0, 1, 50)
    best, three = (calibrate(lessons(), dice, top=top) for top in (1, 3))
    assert best.band(np.array([0.6]), np.zeros(1)).value[0] == pytest.approx(0.6)
    assert three.band(np.array([0.45]), np.zeros(1)).value[0] == pytest.approx(0.6)
    assert three.top == 3 and best.limit == pytest.approx(1.95)


def test_the_nearest_references_are_tried(scene: Callable) -> None:
    scenes = [scene(seed) for seed in range(6)]
    masks = [mask if i == 4 else np.roll(mask, 32, axis=0) for i, (_, mask) in enumerate(scenes)]
    one = References([s[0] for s in scenes], masks, reverse=PatchFusion(), count=1)
    lesson = one.teach(*scenes[4])
    assert lesson.scores.shape == (1,) and lesson.scores[0] > 0.95 and lesson.distance == pytest.approx(0, abs=1e-3)


def test_references_without_the_class_teach_nothing(scene: Callable) -> None:
    scenes = [scene(seed) for seed in range(4)]
    nothing = scenes[0][1] & False
    some = References([s[0] for s in scenes], [nothing, scenes[1][1], nothing, scenes[3][1]], reverse=PatchFusion())
    assert some.teach(*scenes[2]).scores.shape == (2,)
    with pytest.raises(UsageError, match="none of 1 references"):
        References([scenes[0][0]], [nothing], reverse=PatchFusion())


def test_what_does_not_fit(scene: Callable, references: References) -> None:
    image, mask = scene(0)
    with pytest.raises(UsageError, match="one truth for each"):
        References([image], [], reverse=PatchFusion())
    with pytest.raises(UsageError, match="shape"):
        references.teach(image, mask[:10])
    with pytest.raises(UsageError, match="one Dice for each"):
        calibrate(lessons(), np.zeros(3))
    with pytest.raises(UsageError, match="positive top"):
        calibrate(lessons(), np.zeros(50), top=0)
