"""Estimates for sets, from arrays and from images (oracles 2 and 6 of the specification)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from leanseg.errors import UsageError
from leanseg.estimate.degrade import sweep
from leanseg.estimate.patch_fusion import PatchFusion
from leanseg.estimate.pseudo import Pseudo, pseudo_scores
from leanseg.estimate.set_estimate import FLAGS, estimate_set
from leanseg.estimate.set_metrics import scores_of


def pseudo(means: list[float], *, images: int = 30, draws: int = 1, noise: float = 0.0, empty: tuple = ()) -> Pseudo:
    rng = np.random.default_rng(len(means))
    scores = np.array(means)[:, None, None] + noise * rng.normal(size=(len(means), draws, images))
    return Pseudo(scores, np.isin(np.arange(len(means)), empty))


def real(means: list[float], *, images: int = 25, noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array(means)[:, None] + noise * rng.normal(size=(len(means), images))


MEANS = [0.2, 0.4, 0.6, 0.8]
REAL = [0.8 * m + 0.1 for m in MEANS]


def test_the_line_is_found_and_applied() -> None:
    found = estimate_set(pseudo(MEANS), pseudo([m - 0.1 for m in MEANS]), real(REAL))
    assert (found.slope, found.intercept) == pytest.approx((0.8, 0.1), abs=1e-10)
    assert found.values == pytest.approx([r - 0.08 for r in REAL])
    assert found.value == found.values[-1] and found.flags == ()
    assert found.interval == pytest.approx((found.value, found.value))


@pytest.mark.parametrize("form", ["line", "difference"])
def test_the_form_is_used(form: str) -> None:
    scores = real([0.3, 0.4, 0.6, 0.75])
    found = estimate_set(pseudo(MEANS), pseudo(MEANS), scores, form=form)
    through = found.slope * np.array(MEANS) + found.intercept
    np.testing.assert_allclose(found.values, scores.mean(1) if form == "difference" else through, atol=1e-12)


def test_the_same_set_gives_the_real_scores_exactly() -> None:
    known, scores = pseudo(MEANS, noise=0.05), real(REAL, noise=0.1)
    np.testing.assert_array_equal(estimate_set(known, known, scores).values, scores.mean(1))


def test_baselines_come_along() -> None:
    found = estimate_set(pseudo(MEANS), pseudo(MEANS[:2]), real(REAL))
    assert found.baselines["carry-over"] == pytest.approx(REAL[:2])
    assert found.baselines["constant"] == pytest.approx([np.mean(REAL[:2])] * 2)
    assert found.baselines["pseudo"] == pytest.approx(MEANS[:2])


def test_a_falling_line_is_flagged_and_carries_over() -> None:
    found = estimate_set(pseudo(MEANS[::-1]), pseudo([0.1] * 4), real(REAL))
    assert found.flags == ("carry_over",) and found.slope == 0
    np.testing.assert_allclose(found.values, REAL)


def test_an_empty_support_is_flagged_for_the_checkpoint_in_use() -> None:
    known, target = pseudo([0.0, *MEANS], empty=(0,)), pseudo([0.0, *MEANS[:3], 0.0], empty=(0, 4))
    scores = real([0.05, *REAL])
    assert estimate_set(known, target, scores).flags == ("empty_support",)
    assert estimate_set(known, target, scores, checkpoint=2).flags == ()
    assert estimate_set(known, target, scores, checkpoint=0).flags == ("empty_support",)
    assert set(FLAGS) == {"carry_over", "empty_support"}


def test_values_and_intervals_stay_in_the_range_of_the_metric() -> None:
    known, low = pseudo(MEANS, noise=0.1), pseudo([-0.5] * 4, noise=0.1)
    found = estimate_set(known, low, real(REAL, noise=0.3))
    assert (found.value, found.interval[0]) == (0, 0)
    pearson = estimate_set(known, low, real(REAL), metric="pearson")
    assert -1 <= pearson.value < 0
    distances = estimate_set(pseudo([50, 30, 10]), pseudo([90, 70, 60]), real([40, 25, 8]), metric="hd95")
    assert distances.value == pytest.approx(8 + distances.slope * 50) and distances.value > 40


def test_one_checkpoint_with_its_sweep() -> None:
    with pytest.raises(UsageError, match="degraded masks"):
        estimate_set(pseudo([0.8]), pseudo([0.7]), real([0.9]))
    assert estimate_set(pseudo([0.8]), pseudo([0.7]), real([0.9]), slope=1).value == pytest.approx(0.8)
    found = estimate_set(pseudo([0.8, 0.6, 0.2]), pseudo([0.7]), real([0.9, 0.8, 0.6]))
    assert found.slope == pytest.approx(0.5) and found.value == pytest.approx(0.85)


def test_the_interval_covers_the_population() -> None:
    """Known population means; the estimate from samples of A and B lies about them as promised."""
    hits = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        ability = rng.normal(0, 0.08, 40)
        known = np.array(MEANS)[:, None, None] + ability + rng.normal(0, 0.03, (4, 1, 40))
        target = np.array(MEANS)[:, None, None] - 0.1 + ability + rng.normal(0, 0.03, (4, 1, 40))
        scores = np.array(REAL)[:, None] + rng.normal(0, 0.1, 30)
        flags = np.zeros(4, bool)
        low, high = estimate_set(Pseudo(known, flags), Pseudo(target, flags), scores, resamples=300).interval
        hits.append(low <= REAL[-1] - 0.08 <= high)
    assert 0.88 < np.mean(hits) < 0.99


def test_patients_and_draws_widen_the_interval_and_the_seed_fixes_it() -> None:
    known, target = pseudo(MEANS, noise=0.05), pseudo([m - 0.1 for m in MEANS], noise=0.05)
    patients = np.repeat(np.arange(5), 5)
    levels = np.random.default_rng(0).normal(0, 0.1, 5)[patients]
    scores = np.array(REAL)[:, None] + levels

    def width(*args: object, **keywords: object) -> float:
        low, high = estimate_set(*args, **keywords).interval
        return high - low

    plain = width(known, target, scores)
    assert width(known, target, scores) == plain != width(known, target, scores, seed=1)
    assert width(known, target, scores, groups=(None, patients)) > 1.5 * plain
    assert width(known, target, scores, level=0.5) < 0.6 * plain
    moving = np.array([m - 0.1 for m in MEANS])[:, None, None] + np.linspace(-0.2, 0.2, 9)[None, :, None] + np.zeros(30)
    assert width(known, Pseudo(moving, target.empty), scores) > 1.5 * plain


@pytest.mark.parametrize(
    ("scores", "keywords", "says"),
    [
        (real(REAL)[0], {}, "images of B"),
        (real(REAL), {"metric": "beauty"}, "choose dice"),
        (real(REAL), {"level": 1.0}, "level"),
        (real(REAL), {"groups": (["a"], None)}, "each of 30 images"),
        (real(REAL[:2]), {}, "checkpoints first"),
    ],
)
def test_what_does_not_fit(scores: np.ndarray, keywords: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        estimate_set(pseudo(MEANS), pseudo(MEANS), scores, **keywords)
    with pytest.raises(UsageError, match="same labelled images"):
        estimate_set(pseudo(MEANS), pseudo(MEANS, images=3), real(REAL))


def test_a_drop_is_seen_without_labels(scene: Callable) -> None:
    """Learning oracle: one model, good masks of B, worse ones of C; carry-over cannot know, the estimate does."""
    known, held, target = ([scene(100 * part + i) for i in range(n)] for part, n in enumerate((10, 14, 14)))
    fusion = PatchFusion()
    prepared = [[fusion.prepare(image) for image, _ in part] for part in (known, held, target)]
    masks_a, masks_b, masks_c = ([mask for _, mask in part] for part in (known, held, target))
    predicted_b = [np.roll(mask, 2, axis=1) for mask in masks_b]
    predicted_c = [np.roll(mask, 9, axis=0) for mask in masks_c]
    rows = [predicted_b, *sweep(predicted_b)]
    pseudo_b = pseudo_scores(fusion.fit(prepared[1], prepared[0]), rows, masks_a)
    pseudo_c = pseudo_scores(fusion.fit(prepared[2], prepared[0]), [predicted_c], masks_a)
    found = estimate_set(pseudo_b, pseudo_c, np.array([scores_of(row, masks_b) for row in rows]))
    truth = scores_of(predicted_c, masks_c).mean()
    assert found.flags == () and abs(found.value - truth) < 0.1
    assert abs(found.baselines["carry-over"][0] - truth) > 2 * abs(found.value - truth)
