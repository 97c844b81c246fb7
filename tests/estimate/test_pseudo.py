"""Who may teach, and what the answers score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from leanseg.errors import UsageError
from leanseg.estimate.patch_fusion import PatchFusion
from leanseg.estimate.pseudo import Pseudo, choose_support, pseudo_scores


class Mean:
    """Answers every query with the mean of the masks that teach."""

    threshold = 0.5

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def predict(self, masks: Sequence) -> list[np.ndarray]:
        self.seen.append([i for i, mask in enumerate(masks) if mask is not None])
        return [np.mean([mask for mask in masks if mask is not None], axis=0, dtype=np.float32)] * 2


def square(count: int, side: int = 12) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask.flat[:count] = True
    return mask


TRUTHS = [square(20), square(40)]


def test_few_pixels_do_not_teach_and_at_most_64_masks_do() -> None:
    rng = np.random.default_rng(0)
    chosen = choose_support([square(9), square(10), square(11)], rng)
    assert [mask is None for mask in chosen] == [True, False, False]
    many = choose_support([square(20)] * 80, rng)
    assert sum(mask is not None for mask in many) == 64
    other = choose_support([square(20)] * 80, rng)
    assert [mask is None for mask in many] != [mask is None for mask in other]


def test_resampled_supports_lack_about_a_third() -> None:
    rng = np.random.default_rng(0)
    kept = [sum(m is not None for m in choose_support([square(20)] * 50, rng, resample=True)) for _ in range(100)]
    assert np.mean(kept) / 50 == pytest.approx(1 - 1 / math.e, abs=0.02)


def test_the_scores_are_those_of_the_answers() -> None:
    found = pseudo_scores(Mean(), [[square(20)] * 3, [square(40)] * 3], TRUTHS)
    np.testing.assert_allclose(found.scores[:, 0], [[1, 2 * 20 / 60], [2 * 20 / 60, 1]])
    jaccard = pseudo_scores(Mean(), [[square(20)] * 3], TRUTHS, metric="jaccard")
    np.testing.assert_allclose(jaccard.scores[0, 0], [1, 0.5])


def test_an_empty_support_scores_worst_and_is_marked() -> None:
    rows = [[square(0), square(9)], [square(0), square(20)]]
    found = pseudo_scores(Mean(), rows, TRUTHS)
    assert found.empty.tolist() == [True, False]
    assert found.scores[0].tolist() == [[0, 0]] and found.scores[1].min() > 0
    distances = pseudo_scores(Mean(), rows, TRUTHS, metric="hd95")
    np.testing.assert_allclose(distances.scores[0], math.hypot(12, 12))
    assert distances.scores[1].max() < 12


def test_rows_share_their_draws_and_the_seed_fixes_them() -> None:
    mean = Mean()
    rows = [[square(20)] * 9, [square(30)] * 9]
    first = pseudo_scores(mean, rows, TRUTHS, draws=3)
    assert first.scores.shape == (2, 3, 2)
    assert mean.seen[:3] == mean.seen[3:] and len({tuple(seen) for seen in mean.seen}) == 3
    pseudo_scores(mean, rows, TRUTHS, draws=3)
    assert mean.seen[6:9] == mean.seen[:3]
    pseudo_scores(mean, rows, TRUTHS, draws=3, seed=1)
    assert mean.seen[12:15] != mean.seen[:3]


def test_better_masks_score_higher(scene: Callable) -> None:
    """Learning oracle, with the default segmenter."""
    held, known = [scene(seed) for seed in range(10)], [scene(seed) for seed in range(10, 18)]
    fusion = PatchFusion()
    taught = fusion.fit([fusion.prepare(image) for image, _ in held], [fusion.prepare(image) for image, _ in known])
    rows = [[np.roll(mask, shift, axis=1) for _, mask in held] for shift in (0, 4, 8, 16)]
    means = pseudo_scores(taught, rows, [mask for _, mask in known]).scores.mean((1, 2))
    assert means[0] > 0.93 and (np.diff(means) < -0.05).all()


def test_arrays_must_fit() -> None:
    with pytest.raises(UsageError, match="rows, draws, images"):
        Pseudo(np.zeros((2, 3)), np.zeros(2, bool))
    with pytest.raises(UsageError, match="finite"):
        Pseudo(np.full((1, 1, 2), np.nan), np.zeros(1, bool))
    with pytest.raises(UsageError, match="one flag for each of 2"):
        Pseudo(np.zeros((2, 1, 3)), np.zeros(1, bool))
