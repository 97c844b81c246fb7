"""Traits of masks: what they add up to, and that bands add up to the whole."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.inference.tally import Tally
from leanseg.quality.traits import NAMES, Traits


def seen(mask: np.ndarray, probability: np.ndarray, cuts: tuple[int, ...] = ()) -> Traits:
    tally = Tally()
    edges = sorted({0, *cuts, len(mask)})
    for start, stop in pairwise(edges):
        tally.add(mask[start:stop], probability[start:stop].astype(np.float32))
    return tally.traits(field=mask.size)


def test_soft_dice_of_a_sure_map_is_one_and_of_a_half_sure_one_two_thirds() -> None:
    mask = np.zeros((6, 7), bool)
    mask[2:4, 1:5] = True
    assert seen(mask, mask.astype(float)).soft_dice == 1
    assert seen(np.ones((4, 4), bool), np.full((4, 4), 0.5)).soft_dice == pytest.approx(2 / 3)
    assert seen(np.zeros((4, 4), bool), np.full((4, 4), 0.3)).soft_dice is None


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(0, 9)))
def test_sums_against_loops_however_the_bands_are_cut(seed: int, height: int, width: int, cuts: list[int]) -> None:
    random = np.random.default_rng(seed)
    probability = random.random((height, width)).astype(np.float32)
    mask = random.random((height, width)) < 0.4
    traits = seen(mask, probability, tuple(min(cut, height) for cut in cuts))
    p = probability.astype(float)
    assert traits.entropy == pytest.approx(float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum()), abs=5e-3)
    border = sum(
        mask[y, x] != mask[y + a, x + b]
        for y in range(height) for x in range(width) for a, b in ((0, 1), (1, 0)) if y + a < height and x + b < width
    )  # fmt: skip
    assert (traits.area, traits.border) == (mask.sum(), border)
    assert traits.inside == pytest.approx(float(p[mask].sum()), abs=1e-4)
    assert traits.total == pytest.approx(float(p.sum()), abs=1e-4)


def test_the_vector_depends_on_shape_and_not_on_size() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:12, 4:14] = True
    probability = np.where(mask, 0.9, 0.05)
    block = np.ones((2, 2))
    one = seen(mask, probability).vector()
    other = seen(np.kron(mask, block).astype(bool), np.kron(probability, block)).vector()
    assert one == pytest.approx(other, abs=1e-6)
    assert len(one) == len(NAMES)


def test_an_empty_mask_has_a_finite_vector() -> None:
    assert all(math.isfinite(value) for value in seen(np.zeros((3, 3), bool), np.zeros((3, 3))).vector())
