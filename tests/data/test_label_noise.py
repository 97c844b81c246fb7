"""Wrong masks: as wrong as asked, in the asked way, and the same wherever they are made."""

from __future__ import annotations

import unicodedata
from itertools import product
from zlib import crc32

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, label

from leanseg.data.label_noise import KINDS, Corruption, corrupt_mask, corrupt_objects
from leanseg.errors import UsageError

MASKS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 2))
VOLUMES = hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 2))
STEMS = st.text(max_size=4)


def disc(radius: float, *, size: int = 96, at: tuple[float, float] = (47.3, 45.1)) -> np.ndarray:
    rows, columns = np.indices((size, size))
    return (np.hypot(rows - at[0], columns - at[1]) <= radius).astype(np.uint8)


def two_classes() -> np.ndarray:
    labels = disc(20)
    labels[disc(10, at=(47.3, 72.0)) > 0] = 2
    return labels


def boxes(*sides: int) -> np.ndarray:
    """Squares one below the other, far enough apart for any margin."""
    labels, row = np.zeros((20 + sum(side + 20 for side in sides), 60), np.uint8), 10
    for side in sides:
        labels[row : row + side, 12 : 12 + side] = 1
        row += side + 20
    return labels


def always(labels: np.ndarray, kind: str, amount: float, stem: str = "a") -> Corruption:
    return corrupt_mask(labels, stem=stem, seed=0, share=1.0, amount=amount, kinds=(kind,))


@pytest.mark.parametrize("kind", ["dilate", "erode"])
@pytest.mark.parametrize("amount", [0.05, 0.2, 0.3, 0.5, 0.7, 0.95])
def test_contours_err_by_the_number_of_steps_that_comes_nearest(kind: str, amount: float) -> None:
    truth = disc(14) > 0
    step = binary_dilation if kind == "dilate" else binary_erosion
    candidates = [truth, *(step(truth, iterations=k) for k in range(1, 12))]
    changes = [(mask ^ truth).sum() / truth.sum() for mask in candidates if mask.any()]
    nearest = int(np.abs(np.array(changes) - amount).argmin())
    found = always(disc(14), kind, amount)
    assert found.change == pytest.approx(changes[nearest])
    assert (found.labels == candidates[nearest]).all()


@pytest.mark.parametrize("amount", [0.1, 0.3, 0.5, 0.7, 1.2])
@pytest.mark.parametrize("stem", "abcdef")
def test_moves_come_as_near_as_one_pixel_allows(amount: float, stem: str) -> None:
    bar = np.zeros((96, 96), np.uint8)
    bar[20:70, 40:52] = 1
    for labels in (disc(16), bar):
        # A pixel across its longest side changes 2 x 50 of the bar's 600 pixels, the nearer neighbour half as much.
        assert always(labels, "move", amount, stem).change == pytest.approx(amount, abs=0.09)


def test_a_moved_object_keeps_its_form_and_turns_about_its_centroid() -> None:
    bar = np.zeros((96, 96), np.uint8)
    bar[30:60, 40:50] = 1
    angles, shifts = [], []
    for stem in map(str, range(40)):
        found = always(bar, "move", 0.9, stem)
        places = np.argwhere(found.labels)
        assert len(places) == pytest.approx(300, rel=0.05)
        _, _, axes = np.linalg.svd(places - places.mean(0), full_matrices=False)
        angles.append(np.degrees(np.arctan(axes[0, 1] / axes[0, 0])))
        shifts.append(places.mean(0) - np.argwhere(bar).mean(0))
    assert np.abs(angles).max() < 31.5
    assert min(angles) < -20 < 20 < max(angles)
    # all directions
    assert (np.abs(np.mean(shifts, axis=0)) < 3).all()
    assert (np.ptp(shifts, axis=0) > 8).all()


def test_a_small_amount_of_a_move_is_a_turn_only_either_way() -> None:
    bar = np.zeros((96, 96), np.uint8)
    bar[8:88, 46:50] = 1
    places = [np.argwhere(always(bar, "move", 0.2, str(i)).labels) for i in range(20)]
    turned = [p for p in places if np.abs(p.mean(0) - [47.5, 47.5]).max() < 0.3]
    assert len(turned) > 12
    assert {bool(np.cov(p.T)[0, 1] > 0) for p in turned} == {True, False}


def test_a_comb_is_not_moved_on_until_its_teeth_fit_better() -> None:
    comb = np.zeros((96, 96), np.uint8)
    comb[40:56, 32:64] = np.arange(32) % 8 < 4
    for stem, amount in product(map(str, range(20)), (0.5, 0.6, 0.7)):
        moved = np.argwhere(always(comb, "move", amount, stem).labels).mean(0) - np.argwhere(comb).mean(0)
        assert np.hypot(*moved) < 6


def test_a_move_stops_before_half_has_left() -> None:
    corner = disc(12, at=(8, 8))
    for stem in map(str, range(30)):
        share = always(corner, "move", 5.0, stem).labels.sum() / corner.sum()
        # what lies beyond the border is not foreground: nothing comes in
        assert 0.5 <= share < 1.02


def test_contours_do_not_err_at_the_border_of_the_image() -> None:
    half = np.zeros((20, 20), np.uint8)
    half[:, :10] = 1
    assert (always(half, "erode", 0.3).labels[:, :7] == 1).all()
    full = np.ones((9, 9), np.uint8)
    for kind in ("erode", "dilate"):
        found = always(full, kind, 0.5)
        assert (found.kind, found.change) == ("none", 0)


@pytest.mark.parametrize("kind", KINDS)
@given(labels=st.one_of(MASKS, VOLUMES), stem=STEMS, amount=st.floats(0, 3))
def test_what_holds_for_every_mask(kind: str, labels: np.ndarray, stem: str, amount: float) -> None:
    before = labels.copy()
    found = always(labels, kind, amount, stem)
    assert (labels == before).all()
    assert found.labels.shape == labels.shape and found.labels.dtype == labels.dtype
    assert (always(labels, kind, amount, stem).labels == found.labels).all()
    changed = int((found.labels != labels).sum())
    assert found.change == changed / max(1, (labels > 0).sum())
    assert found.kind == (kind if changed else "none")
    assert set(np.unique(found.labels)) <= set(np.unique(labels)) | {0}
    # the last class is covered by none
    if last := labels.max(initial=0):
        truth, wrong = labels == last, found.labels == last
        assert 2 * wrong.sum() >= truth.sum() if kind == "move" else wrong.any()
        assert kind != "dilate" or (wrong | ~truth).all()
        assert kind != "erode" or (truth | ~wrong).all()


@given(labels=st.one_of(MASKS, VOLUMES), stem=STEMS, seed=st.integers(-3, 99))
def test_nothing_asked_nothing_done(labels: np.ndarray, stem: str, seed: int) -> None:
    spared = corrupt_mask(labels, stem=stem, seed=seed, share=0.0, amount=0.7)
    unchanged = corrupt_mask(labels, stem=stem, seed=seed, share=1.0, amount=0.0)
    objects = corrupt_objects(labels, stem=stem, seed=seed, remove=0.0, add=0.0, margin=0.0)
    for found in (spared, unchanged, objects):
        assert (found.labels == labels).all()
        assert (found.kind, found.change) == ("none", 0)


def test_the_share_of_wrong_images_and_the_kinds_are_as_asked() -> None:
    square, count = boxes(8), 1000
    found = [corrupt_mask(square, stem=str(i), seed=5, share=0.3, amount=0.5).kind for i in range(count)]
    error = (0.3 * 0.7 / count) ** 0.5
    assert abs(sum(kind != "none" for kind in found) / count - 0.3) < 4 * error
    for kind in KINDS:
        assert abs(found.count(kind) / count - 0.1) < 4 * (0.09 / count) ** 0.5


def test_a_higher_level_makes_the_same_images_wrong_in_the_same_way_and_others() -> None:
    square, stems = boxes(8), [str(i) for i in range(60)]
    low, high = (
        [corrupt_mask(square, stem=stem, seed=0, share=share, amount=0.5) for stem in stems] for share in (0.3, 0.7)
    )
    assert sum(f.kind != "none" for f in low) < sum(f.kind != "none" for f in high)
    assert all((a.labels == b.labels).all() for a, b in zip(low, high, strict=True) if a.kind != "none")


def test_draws_follow_the_stem_and_the_seed_alone() -> None:
    def moved(stem: str, seed: int, labels: np.ndarray) -> np.ndarray:
        return corrupt_mask(labels, stem=stem, seed=seed, share=1.0, amount=0.6, kinds=("move",)).labels

    assert (moved("a", 0, disc(14)) != moved("b", 0, disc(14))).any()
    assert (moved("a", 0, disc(14)) != moved("a", 1, disc(14))).any()
    decomposed = unicodedata.normalize("NFD", "Müller")
    assert decomposed != "Müller"
    assert (moved("Müller", 0, disc(14)) == moved(decomposed, 0, disc(14))).all()
    # a second class has no influence on the first, where it does not cover it
    alone, beside = moved("a", 0, np.where(two_classes() == 1, 1, 0).astype(np.uint8)), moved("a", 0, two_classes())
    assert (beside[beside < 2] == alone[beside < 2]).all()


@pytest.mark.parametrize(
    ("kind", "wanted"), [("dilate", 3273253593), ("erode", 130891293), ("move", 1440348965), ("objects", 2466985372)]
)
def test_masks_are_those_of_every_other_machine(kind: str, wanted: int) -> None:
    if kind == "objects":
        chances = {"remove": 0.3, "add": 0.5, "margin": 0.7}
        found = corrupt_objects(boxes(3, 8, 24), stem="case-7", seed=3, donor=boxes(6, 9), **chances)
    else:
        found = corrupt_mask(two_classes(), stem="case-7", seed=3, share=1.0, amount=0.5, kinds=(kind,))
    assert crc32(found.labels.tobytes()) == wanted


def test_later_classes_win() -> None:
    found = always(two_classes(), "dilate", 0.5)
    second = (found.labels == 2).sum() / (two_classes() == 2).sum()
    assert second == pytest.approx(1.5, abs=0.15)
    first = binary_dilation(two_classes() == 1, iterations=5)
    assert (first & (found.labels == 2)).any()


def test_volumes_move_in_the_plane_of_their_slices() -> None:
    pillar = np.zeros((6, 40, 40), np.uint8)
    pillar[1:4, 15:25, 15:23] = 1
    found = always(pillar, "move", 0.8)
    assert found.change > 0.6
    assert found.labels.any((1, 2)).tolist() == [False, True, True, True, False, False]
    assert (found.labels[1] == found.labels[3]).all()


def test_objects_are_forgotten_as_often_as_asked() -> None:
    many = np.kron(np.ones((15, 20), np.uint8), np.pad(np.ones((2, 2), np.uint8), 1))
    found = corrupt_objects(many, stem="a", seed=0, remove=0.3, add=0.0, margin=0.0)
    left = label(found.labels)[1]
    assert abs(left - 210) < 4 * (300 * 0.21) ** 0.5
    assert left == found.labels.sum() / 4
    assert found.kind == "objects"
    assert not corrupt_objects(many, stem="a", seed=0, remove=1.0, add=0.0, margin=1.0).labels.any()


def test_objects_of_the_donor_are_added_whole_at_random_places() -> None:
    donor = np.zeros((70, 70), np.uint8)
    donor[3:8, 3:10] = 2
    donor[5, 5] = 0
    donor[0:65, 60] = 1
    nothing = np.zeros((60, 60), np.uint8)
    corners = set()
    for stem in map(str, range(30)):
        found = corrupt_objects(nothing, stem=stem, seed=0, remove=0.0, add=1.0, margin=0.0, donor=donor)
        rows, columns = np.nonzero(found.labels)
        corners.add((rows.min(), columns.min()))
        # the line is longer than the image
        window = found.labels[rows.min() : rows.min() + 5, columns.min() : columns.min() + 7]
        assert (window == donor[3:8, 3:10]).all() and len(rows) == 34
    assert len(corners) > 20
    some = [
        corrupt_objects(nothing, stem=str(i), seed=0, remove=0.0, add=0.4, margin=0.0, donor=donor) for i in range(300)
    ]
    assert abs(sum(f.labels.any() for f in some) / 300 - 0.4) < 4 * (0.24 / 300) ** 0.5


def test_margins_err_by_the_size_of_the_object() -> None:
    labels = boxes(4, 10, 30)
    slices = [slice(0, 24), slice(24, 54), slice(54, 110)]
    reach: list[set[float]] = [set(), set(), set()]
    for stem in map(str, range(60)):
        found = corrupt_objects(labels, stem=stem, seed=0, remove=0.0, add=0.0, margin=1.0).labels
        for rows, seen in zip(slices, reach, strict=True):
            truth, wrong = labels[rows] > 0, found[rows] > 0
            assert wrong.any()
            outwards = distance_transform_edt(~truth)[wrong].max()
            inwards = distance_transform_edt(truth)[~wrong].max(initial=0)
            seen.add(float(outwards or -inwards))
    assert reach == [{0}, {-3, -2, -1, 1, 2, 3}, {-6, -4, -2, 2, 4, 6}]


def test_objects_of_volumes() -> None:
    volume = np.zeros((30, 30, 30), np.uint8)
    volume[4:12, 4:12, 4:12] = volume[18:26, 18:26, 18:26] = 1
    donor = np.ones((3, 4, 5), np.uint8)
    found = corrupt_objects(volume, stem="c", seed=0, remove=0.0, add=1.0, margin=1.0, donor=donor)
    assert found.labels.shape == volume.shape
    assert found.change > 0
    assert label(found.labels)[1] >= 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"share": 1.5}, "share is a chance"),
        ({"share": float("nan")}, "share is a chance"),
        ({"amount": -0.1}, "amount >= 0"),
        ({"kinds": ("shrink",)}, "kinds from"),
        ({"kinds": ()}, "kinds from"),
    ],
)
def test_wrong_masks_are_asked_for_wrongly(wrong: dict[str, object], message: str) -> None:
    asked = {"stem": "a", "seed": 0, "share": 0.5, "amount": 0.5, **wrong}
    with pytest.raises(UsageError, match=message):
        corrupt_mask(disc(9), **asked)


def test_what_does_not_fit_is_refused() -> None:
    chances = {"stem": "a", "seed": 0, "remove": 0.1, "add": 0.0, "margin": 0.1}
    with pytest.raises(UsageError, match="margin is a chance"):
        corrupt_objects(disc(9), **{**chances, "margin": -1.0})
    with pytest.raises(UsageError, match="from a donor of 2 axes"):
        corrupt_objects(disc(9), **{**chances, "add": 0.1})
    with pytest.raises(UsageError, match="from a donor of 2 axes"):
        corrupt_objects(disc(9), **{**chances, "add": 0.1, "donor": np.ones((2, 2, 2), np.uint8)})
    with pytest.raises(UsageError, match="one mask at a time"):
        corrupt_mask(np.zeros((1, 1, 4, 4), np.uint8), stem="a", seed=0, share=0.1, amount=0.1)
