"""Surface distances against hand-worked numbers, all pairs of voxels and the laws that distances obey."""

from __future__ import annotations

from math import hypot, sqrt

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from leanseg.errors import UsageError
from leanseg.metrics.surface import SurfaceDistances, surface, surface_distances

SHAPES = st.one_of(
    st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.just(2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
)
PAIRS = hnp.arrays(np.bool_, SHAPES)
STEP = st.sampled_from([0.5, 1.0, 1.7, 3.0])


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def values(found: SurfaceDistances) -> list[float | None]:
    return [found.hd95, found.hausdorff(), found.average, found.surface_dice(1.0)]


def border_voxels(mask: np.ndarray) -> np.ndarray:
    """The definition, voxel by voxel."""
    inside = {tuple(v) for v in np.argwhere(mask)}
    steps = [tuple(sign * row) for row in np.eye(mask.ndim, dtype=int) for sign in (1, -1)]
    border = [v for v in inside if any(tuple(np.add(v, s)) not in inside for s in steps)]
    return np.array(sorted(border)).reshape(-1, mask.ndim)


def test_hand_worked_pair_of_points() -> None:
    p, t = np.zeros((2, 6, 5), bool)
    p[1, 1] = t[4, 1] = t[1, 2] = True
    found = surface_distances(p, t, spacing=(2.0, 2.0))
    assert found.from_prediction.tolist() == [2.0]
    assert found.from_truth.tolist() == [2.0, 6.0]
    assert found.hausdorff() == 6
    assert found.hd95 == pytest.approx(2 + 0.95 * 4)
    assert found.average == pytest.approx(10 / 3)
    assert found.surface_dice(2.0) == pytest.approx(2 / 3)
    assert found.surface_dice(1.9) == 0


@given(PAIRS)
def test_surface_is_the_definition(stack: np.ndarray) -> None:
    assert np.argwhere(surface(stack[0])).tolist() == border_voxels(stack[0]).tolist()


@given(PAIRS, st.lists(STEP, min_size=3, max_size=3))
def test_distances_are_those_of_all_pairs(stack: np.ndarray, steps: list[float]) -> None:
    p, t = stack
    spacing = steps[: p.ndim]
    found = surface_distances(p, t, spacing=spacing)
    if p.any() and t.any():
        pairs = cdist(border_voxels(p) * spacing, border_voxels(t) * spacing)
        np.testing.assert_allclose(found.from_prediction, pairs.min(axis=1), atol=1e-12)
        np.testing.assert_allclose(found.from_truth, pairs.min(axis=0), atol=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 0.9)])
@pytest.mark.parametrize("density", [0.002, 0.3])
def test_sparse_and_dense_volumes_take_both_ways_to_the_same_distances(
    spacing: tuple[float, ...], density: float
) -> None:
    p = np.random.default_rng(0).random((12, 30, 30)) < density
    t = ball(p.shape, (6, 15, 15), 5)
    found = surface_distances(p, t, spacing=spacing)
    pairs = cdist(border_voxels(p) * spacing, border_voxels(t) * spacing)
    np.testing.assert_allclose(found.from_prediction, pairs.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.from_truth, pairs.min(axis=0), atol=1e-12)


@given(PAIRS)
def test_exchanging_the_masks_changes_no_score(stack: np.ndarray) -> None:
    p, t = stack
    assert values(surface_distances(p, t)) == pytest.approx(values(surface_distances(t, p)))


@given(PAIRS)
def test_a_perfect_prediction_has_no_distance(stack: np.ndarray) -> None:
    found = surface_distances(stack[0], stack[0])
    assert values(found) == ([0, 0, 0, 1] if stack[0].any() else [None] * 4)


@given(PAIRS, STEP)
def test_distances_scale_with_the_spacing(stack: np.ndarray, step: float) -> None:
    p, t = stack
    one, other = surface_distances(p, t), surface_distances(p, t, spacing=(step,) * p.ndim)
    np.testing.assert_allclose(other.from_truth, step * one.from_truth)
    np.testing.assert_allclose(other.from_prediction, step * one.from_prediction)
    assert other.diagonal == pytest.approx(step * one.diagonal)


@given(PAIRS, st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_an_offset_inside_a_larger_image_keeps_the_distances(stack: np.ndarray, offset: list[int]) -> None:
    p, t = stack
    if not (p.any() and t.any()):
        return
    found = surface_distances(p, t)
    moved = surface_distances(*(np.pad(m, [(o, 6 - o) for o in offset[: p.ndim]]) for m in (p, t)))
    assert moved.from_prediction.tolist() == found.from_prediction.tolist()
    assert moved.from_truth.tolist() == found.from_truth.tolist()


@settings(max_examples=50)
@given(PAIRS, st.lists(st.floats(0, 20), min_size=2, max_size=5))
def test_surface_dice_grows_with_the_tolerance_within_bounds(stack: np.ndarray, tolerances: list[float]) -> None:
    found = surface_distances(*stack)
    if not found.both_empty:
        shares = [found.surface_dice(t) for t in sorted(tolerances)]
        assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


@given(PAIRS)
def test_scores_are_ordered_and_below_the_diagonal(stack: np.ndarray) -> None:
    found = surface_distances(*stack)
    if not found.both_empty:
        assert 0 <= found.hausdorff(50) <= found.hd95 <= found.hausdorff() <= found.diagonal
        assert found.average <= found.hausdorff() * (1 + 1e-12)


@pytest.mark.parametrize("shape, spacing", [((6, 8), (0.5, 0.5)), ((6, 8), (0.5, 2.0)), ((4, 6, 8), (3.0, 1.0, 1.0))])
def test_missed_and_invented_structures_score_the_diagonal(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    there, nothing = ball(shape, (2,) * len(shape), 1.5), np.zeros(shape, bool)
    diagonal = hypot(*(n * s for n, s in zip(shape, spacing, strict=True)))
    for p, t in ((nothing, there), (there, nothing)):
        found = surface_distances(p, t, spacing=spacing)
        assert values(found) == pytest.approx([diagonal, diagonal, diagonal, 0])
        assert found.surface_dice(2 * diagonal) == 0
        assert not found.both_empty


def test_missing_more_never_improves_the_mean() -> None:
    truth = ball((20, 20), (10, 10), 5)
    poor = surface_distances(ball((20, 20), (4, 4), 3), truth).hd95
    assert surface_distances(np.zeros_like(truth), truth).hd95 > poor


def test_both_empty_has_no_score() -> None:
    nothing = np.zeros((4, 4), bool)
    found = surface_distances(nothing, nothing)
    assert found.both_empty and values(found) == [None] * 4


def test_what_is_not_valid_counts_as_outside() -> None:
    truth = ball((20, 20), (10, 10), 5)
    valid = np.arange(20)[:, None] * np.ones(20, int) < 11
    found = surface_distances(truth | ~valid, truth, valid=valid)
    assert values(found) == [0, 0, 0, 1]
    assert surface_distances(truth & ~valid, truth, valid=valid).hd95 == pytest.approx(20 * sqrt(2))


def test_distances_across_a_large_picture_are_exact() -> None:
    p, t = np.zeros((2, 1800, 1500), bool)
    p[3, 7] = t[1795, 1490] = True
    assert surface_distances(p, t).hausdorff() == hypot(1792, 1483)


def test_wrong_calls_are_refused() -> None:
    mask = np.ones((3, 3), bool)
    with pytest.raises(UsageError, match="spacing needs 2 positive lengths"):
        surface_distances(mask, mask, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="spacing needs 2 positive lengths"):
        surface_distances(mask, mask, spacing=(1.0, 0.0))
    with pytest.raises(UsageError, match="found a mask of 1 dimensions"):
        surface_distances(mask[0], mask[0])
    with pytest.raises(UsageError, match="boolean"):
        surface_distances(mask.astype(int), mask)
