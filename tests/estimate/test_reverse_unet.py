"""Reverse validation by a small network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from leanseg.errors import UsageError
from leanseg.estimate.reverse_unet import ReverseUNet


def taught(net: ReverseUNet, scenes: list) -> object:
    prepared = [net.prepare(image) for image, _ in scenes]
    return net.fit(prepared, prepared[:2])


def test_good_masks_teach_better_than_moved_ones(scene: Callable) -> None:
    """Learning oracle."""
    scenes = [scene(seed, 40) for seed in range(4)]
    pupil = taught(ReverseUNet(size=32, steps=40, width=4, batch=4, rate=0.02), scenes)
    scores = []
    for shift in (0, 10):
        answers = pupil.predict([np.roll(mask, shift, axis=0) for _, mask in scenes])
        pairs = [(answer > 0.5, mask) for answer, (_, mask) in zip(answers, scenes, strict=False)]
        scores.append(np.mean([2 * (a & m).sum() / (a.sum() + m.sum()) for a, m in pairs]))
    assert scores[0] > 0.85 > scores[1] + 0.2


def test_the_seed_fixes_everything_and_the_global_generator_stays(scene: Callable) -> None:
    scenes = [scene(seed, 32) for seed in range(3)]
    masks = [mask for _, mask in scenes]
    before = torch.random.get_rng_state()
    runs = [taught(ReverseUNet(size=16, steps=3, width=2, seed=seed), scenes).predict(masks) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_masks_that_teach_nothing(scene: Callable) -> None:
    scenes = [scene(seed, 32) for seed in range(3)]
    pupil = taught(ReverseUNet(size=16, steps=2, width=2), scenes)
    some = [scenes[0][1], None, scenes[2][1]]
    alone = taught(ReverseUNet(size=16, steps=2, width=2), [scenes[0], scenes[2]]).predict([some[0], some[2]])
    np.testing.assert_allclose(pupil.predict(some)[0], alone[0], atol=1e-6)
    answers = pupil.predict([None] * 3)
    assert [answer.shape for answer in answers] == [(32, 32)] * 2 and not np.any(answers)


def test_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="slice by slice"):
        ReverseUNet().prepare(np.zeros((1, 4, 8, 8)))
    with pytest.raises(UsageError, match="steps=0"):
        ReverseUNet(steps=0)
