"""Touching objects are parted: nothing is lost, nothing is joined, shapes decide."""

from __future__ import annotations

from itertools import product

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from leanseg.errors import UsageError
from leanseg.inference.instances import instances, seams
from leanseg.types import Mask

MASKS = st.one_of(
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))),
)
OPTIONS = st.fixed_dictionaries({"separation": st.sampled_from([0.1, 0.5, 1.0]), "smooth": st.sampled_from([0.0, 1.0])})


def pieces(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Connected pieces, corners included."""
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return labels, count


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> Mask:
    offsets = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return np.square(offsets).sum(axis=0) <= radius**2


def ellipse(size: int, axes: tuple[float, float], angle: float, shift: float) -> Mask:
    y, x = np.indices((size, size)) - size / 2 - shift
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.hypot(along / axes[0], across / axes[1]) <= 1


def two_discs(radius: float, stand_out: float, angle: float, shift: float) -> Mask:
    """Equal discs as far apart as makes the peaks of the distance stand out so much."""
    half = np.sqrt(radius**2 - (radius - stand_out) ** 2)
    size = int(4 * radius) + 6
    y, x = size / 2 + shift, size / 2
    dy, dx = half * np.sin(angle), half * np.cos(angle)
    return ball((size, size), (y + dy, x + dx), radius) | ball((size, size), (y - dy, x - dx), radius)


def tissue(seed: int, *, size: int = 160, count: int = 45) -> Mask:
    """Discs thrown at random, many of them touching."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), bool)
    for _ in range(count):
        mask |= ball(mask.shape, tuple(rng.uniform(0, size, 2)), rng.uniform(5, 11))
    return mask


@given(MASKS, OPTIONS)
def test_labels_cover_the_mask_exactly_and_each_is_one_piece(mask: Mask, options: dict[str, float]) -> None:
    labels = instances(mask, **options)
    assert labels.dtype == np.int32 and labels.shape == mask.shape
    np.testing.assert_array_equal(labels > 0, mask)
    assert np.array_equal(np.unique(labels[mask]), np.arange(1, labels.max(initial=0) + 1))
    assert all(pieces(labels == number)[1] == 1 for number in range(1, labels.max(initial=0) + 1))


@given(MASKS, OPTIONS)
def test_pieces_that_lie_apart_are_never_joined(mask: Mask, options: dict[str, float]) -> None:
    found, labels = pieces(mask)[0], instances(mask, **options)
    pairs = set(zip(labels[mask].tolist(), found[mask].tolist(), strict=True))
    assert len(pairs) == labels.max(initial=0)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_random_discs_are_covered_by_whole_labels(seed: int) -> None:
    mask = tissue(seed, size=80, count=15)
    labels = instances(mask)
    np.testing.assert_array_equal(labels > 0, mask)
    assert all(pieces(labels == number)[1] == 1 for number in range(1, labels.max() + 1))
    assert labels.max() >= pieces(mask)[1]


@given(radius=st.floats(0.8, 30), y=st.floats(0, 1), x=st.floats(0, 1))
def test_a_disc_of_any_size_stays_one(radius: float, y: float, x: float) -> None:
    assert instances(ball((66, 66), (32 + y, 32 + x), radius)).max() == 1


@given(radius=st.floats(3, 25), y=st.floats(0, 50), x=st.floats(0, 50))
def test_a_disc_that_the_border_cuts_stays_one(radius: float, y: float, x: float) -> None:
    assert instances(ball((51, 51), (y, x), radius)).max() == 1


@given(st.floats(2, 12), st.floats(1, 4), st.floats(0, np.pi), st.floats(0, 1))
def test_an_ellipse_stays_one(minor: float, stretch: float, angle: float, shift: float) -> None:
    assert instances(ellipse(102, (minor * stretch, minor), angle, shift)).max() == 1


@given(radius=st.floats(1, 8), centre=st.tuples(*[st.floats(9, 10)] * 3))
def test_a_ball_stays_one(radius: float, centre: tuple[float, ...]) -> None:
    assert instances(ball((20, 20, 20), centre, radius)).max() == 1


@given(st.floats(5, 20), st.floats(3.5, 5), st.floats(0, np.pi), st.floats(0, 1))
def test_discs_far_enough_apart_are_two_halves(radius: float, stand_out: float, angle: float, shift: float) -> None:
    sizes = np.bincount(instances(two_discs(radius, stand_out, angle, shift)).ravel())[1:]
    assert sizes.size == 2 and sizes.min() > 0.4 * sizes.sum()


@given(st.floats(5, 20), st.floats(0, 1), st.floats(0, np.pi), st.floats(0, 1))
def test_discs_close_together_stay_one(radius: float, stand_out: float, angle: float, shift: float) -> None:
    assert instances(two_discs(radius, stand_out, angle, shift)).max() == 1


def test_discs_in_a_volume_are_parted() -> None:
    mask = ball((24, 24, 40), (12, 12, 12), 9) | ball((24, 24, 40), (12, 12, 27), 9)
    labels = instances(mask)
    assert labels.max() == 2
    assert (labels[..., :18][mask[..., :18]] == 1).all() and (labels[..., 22:][mask[..., 22:]] == 2).all()


def test_separation_decides_how_much_is_parted() -> None:
    mask = tissue(3)
    counts = [instances(mask, separation=s, smooth=0).max() for s in (0.2, 0.5, 1, 2, 4, 100)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[2] > counts[-1]
    assert counts[-1] == pieces(mask)[1]


@given(MASKS, OPTIONS, st.data())
def test_flips_keep_the_number_of_labels(mask: Mask, options: dict[str, float], data: st.DataObject) -> None:
    axes = tuple(data.draw(st.sets(st.integers(0, mask.ndim - 1), min_size=1)))
    flipped = instances(np.flip(mask, axes), **options)
    assert flipped.max(initial=0) == instances(mask, **options).max(initial=0)


@pytest.mark.parametrize("axes", [0, 1, (0, 1)])
def test_flips_flip_the_labels_where_no_heights_are_equal(axes: int | tuple[int, ...]) -> None:
    mask = tissue(1)
    guide = np.random.default_rng(0).uniform(0.9, 1, mask.shape).astype(np.float32)
    labels = instances(mask, guide)
    back = np.flip(instances(np.flip(mask, axes), np.flip(guide, axes)), axes)
    pairs = set(zip(labels[mask].tolist(), back[mask].tolist(), strict=True))
    assert len(pairs) == labels.max() == back.max() > 20


def test_an_uncertain_seam_parts_what_the_outline_does_not() -> None:
    mask = ellipse(60, (24, 12), 0, 0)
    probability = np.full(mask.shape, 0.95, np.float32)
    assert instances(mask, probability).max() == 1
    probability[:, 29:32] = 0.55
    labels = instances(mask, probability)
    assert labels.max() == 2
    assert {np.unique(half[half > 0]).size for half in (labels[:, :28], labels[:, 33:])} == {1}


def test_specks_go_and_no_object_is_smaller() -> None:
    mask = tissue(4)
    mask[0, :5] = mask[-1, -1] = True
    for smallest in (1, 20, 100, 180):
        labels = instances(mask, separation=0.2, smallest=smallest)
        found, _ = pieces(mask)
        kept = (np.bincount(found.ravel()) >= smallest)[found] & mask
        np.testing.assert_array_equal(labels > 0, kept)
        assert np.bincount(labels.ravel())[1:].min() >= smallest
    assert not instances(mask, smallest=mask.size + 1).any()


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (1, 1), (1, 1, 1), (0, 4)])
def test_nothing_everything_and_one_pixel(shape: tuple[int, ...]) -> None:
    assert not instances(np.zeros(shape, bool)).any()
    assert (instances(np.ones(shape, bool)) == 1).all()
    if 0 not in shape:
        one = np.zeros(shape, bool)
        one.flat[one.size // 2] = True
        np.testing.assert_array_equal(instances(one), one)


def test_labels_count_in_reading_order() -> None:
    mask = np.zeros((9, 30), bool)
    for number in range(5):
        mask[2:7, 6 * number : 6 * number + 5] = True
    labels = instances(mask)
    assert labels[4, 2::6].tolist() == [1, 2, 3, 4, 5]
    dumbbell = ball((40, 30), (8, 8), 6) | ball((40, 30), (30, 8), 6)
    dumbbell[8:30, 8] = True
    between = ball((40, 30), (19, 24), 4)
    np.testing.assert_array_equal(instances(dumbbell | between, separation=100), dumbbell + 2 * between)


def markers(mask: Mask, heights: NDArray[np.float64], separation: float) -> NDArray[np.int64]:
    """Numbered peaks that stand out by the separation, or are the highest of their piece, by trying every level."""
    found = np.zeros(mask.shape, np.int64)
    for place in zip(*np.nonzero(mask), strict=True):
        reached = max(
            (
                level
                for level in np.unique(heights[mask & (heights <= heights[place])])
                if (heights[(islands := pieces(mask & (heights >= level))[0]) == islands[place]] > heights[place]).any()
            ),
            default=-np.inf,
        )
        if heights[place] - reached >= separation:
            found[place] = found.max() + 1
    return found


def spanning_forest(mask: Mask, heights: NDArray[np.float64], marked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels of the minimum spanning forest rooted in the markers; heights must differ."""
    rank = np.full(mask.shape, -1)
    rank[mask] = (-heights[mask]).argsort().argsort()
    edges = {(0, int(rank[place]) + 1): 0.5 for place in zip(*np.nonzero(marked), strict=True)}
    for place, way in product(zip(*np.nonzero(mask), strict=True), product((-1, 0, 1), repeat=mask.ndim)):
        there = tuple(np.add(place, way))
        if any(way) and all(0 <= i < n for i, n in zip(there, mask.shape, strict=True)) and mask[there]:
            low, high = sorted((int(rank[place]), int(rank[there])))
            edges[low + 1, high + 1] = high * mask.size + low + 1
    one, other = np.array(list(edges)).T
    count = int(mask.sum()) + 1
    tree = minimum_spanning_tree(coo_matrix((list(edges.values()), (one, other)), shape=(count, count)).tocsr()).tocoo()
    inner = (tree.row > 0) & (tree.col > 0)
    parts = connected_components(
        coo_matrix((tree.data[inner], (tree.row[inner], tree.col[inner])), shape=(count, count))
    )
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = parts[1][rank[mask] + 1]
    return labels


@settings(max_examples=25)
@example(218, (7, 7), 0.6)  # one pixel is the saddle to two basins
@given(st.integers(0, 10**6), st.sampled_from([(7, 7), (3, 4, 3)]), st.sampled_from([0.05, 0.3, 0.6]))
def test_labels_are_the_minimum_spanning_forest_of_the_markers(
    seed: int, shape: tuple[int, ...], separation: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.8
    mask.flat[0], mask.flat[1] = False, True  # some background, some mask
    guide = rng.random(shape).astype(np.float32)
    heights = (ndimage.distance_transform_edt(mask).astype(np.float32) * guide).astype(float)
    assume(np.unique(heights[mask]).size == mask.sum())
    labels = instances(mask, guide, separation=separation, smooth=0)
    marked = markers(mask, heights, separation)
    assert labels.max() == marked.max()
    expected = spanning_forest(mask, heights, marked)
    pairs = set(zip(labels[mask].tolist(), expected[mask].tolist(), strict=True))
    assert len(pairs) == labels.max() == np.unique(expected[mask]).size


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_another_watershed(seed: int) -> None:
    watershed = pytest.importorskip("skimage.segmentation").watershed
    mask = tissue(seed, size=300, count=160)
    heights = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 1, mode="nearest")
    labels = instances(mask)
    peaks = ndimage.maximum_position(heights, labels, np.arange(1, labels.max() + 1))
    marked = np.zeros(mask.shape, np.int32)
    marked[tuple(np.transpose(peaks))] = np.arange(1, labels.max() + 1)
    other = watershed(-heights, marked, mask=mask, connectivity=2)
    assert (other == labels)[mask].mean() > 0.998


@pytest.mark.parametrize("seed", range(3))
def test_peaks_agree_with_h_maxima(seed: int) -> None:
    h_maxima = pytest.importorskip("skimage.morphology").h_maxima
    mask = tissue(seed, size=300, count=160)
    heights = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 1, mode="nearest")
    peaks = pieces(h_maxima(np.where(mask, heights, 0).astype(np.float64), 1.5) > 0)[1]
    assert instances(mask, separation=1.5).max() == peaks > 50


@given(seed=st.integers(0, 100))
def test_without_seams_every_piece_holds_pixels_of_one_object(seed: int) -> None:
    objects = np.random.default_rng(seed).integers(0, 3, (6, 7, 4)).astype(np.int32)
    pieces, count = ndimage.label((objects > 0) & ~seams(objects))
    assert all(len(np.unique(objects[pieces == number])) == 1 for number in range(1, count + 1))
    assert not seams(objects)[objects == 0].any()


def test_wrong_calls_are_refused() -> None:
    mask = np.ones((4, 4), bool)
    with pytest.raises(UsageError, match="mask must be a boolean mask, found uint8"):
        instances(mask.astype(np.uint8))
    with pytest.raises(UsageError, match="found a mask of 1 dimensions"):
        instances(mask[0])
    with pytest.raises(UsageError, match=r"the mask's shape \(4, 4\), found \(1, 4, 4\)"):
        instances(mask, np.ones((1, 4, 4), np.float32))
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\]"):
        instances(mask, np.full((4, 4), 2, np.float32))
    with pytest.raises(UsageError, match="separation must be more than 0"):
        instances(mask, separation=0)
    with pytest.raises(UsageError, match="smooth must be 0 or more"):
        instances(mask, smooth=float("nan"))
    with pytest.raises(UsageError, match="smallest must be 0 or more"):
        instances(mask, smallest=-1)
