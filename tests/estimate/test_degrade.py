"""Twelve ways to spoil a mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from leanseg.errors import UsageError
from leanseg.estimate.degrade import GRADES, degrade, sweep
from leanseg.estimate.set_metrics import overlap

ANY = array_shapes(min_dims=2, max_dims=3, max_side=9).flatmap(lambda shape: arrays(np.bool_, shape))


@given(ANY, st.integers(0, 11), st.integers(0, 99))
def test_any_mask_survives_any_grade(mask: np.ndarray, grade: int, seed: int) -> None:
    before = mask.copy()
    found, kind = degrade(mask, grade, seed=seed), GRADES[grade][0]
    np.testing.assert_array_equal(mask, before)
    assert found.shape == mask.shape and found.dtype == np.bool_
    if not mask.any():
        assert not found.any()
    elif kind in ("erode", "drop"):
        assert (found <= mask).all() and (kind == "drop" or found.any())
    elif kind == "dilate":
        assert (found >= mask).all()


@pytest.mark.parametrize(("grade", "share"), list(enumerate([0.85, 0.65, 0.4, 1.2, 1.6, 2.5])))
def test_shares_of_a_disc(scene: Callable, grade: int, share: float) -> None:
    _, mask = scene(1, 128)
    assert degrade(mask, grade).sum() / mask.sum() == pytest.approx(share, rel=0.06)


def test_thin_lines_are_left_over() -> None:
    line = np.zeros((64, 64), bool)
    line[30:33, 5:60] = True
    for grade in range(12):
        assert degrade(line, grade).any()
    assert overlap(degrade(line, 6), line) > 0.3


def test_each_kind_gets_worse_and_the_sweep_spans_the_scores(scene: Callable) -> None:
    masks = [scene(seed, 96)[1] for seed in range(10)]
    rows = sweep(masks)
    dice = [np.mean([overlap(one, other) for one, other in zip(row, masks, strict=True)]) for row in rows]
    assert len(rows) == len(GRADES) == 12
    for start in range(0, 12, 3):
        assert dice[start] > dice[start + 1] > dice[start + 2]
    assert max(dice) > 0.85 and min(dice) < 0.5


def test_the_seed_fixes_the_sweep_and_images_differ(scene: Callable) -> None:
    masks = [scene(0)[1]] * 2
    one, again, other = sweep(masks), sweep(masks), sweep(masks, seed=7)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[11][0], one[11][1])


def test_no_such_grade() -> None:
    with pytest.raises(UsageError, match="0 to 11"):
        degrade(np.ones((3, 3), bool), 12)
