"""The colours that a reader relies on, at known pixels."""

import itertools

import cv2
import numpy as np
import pytest

from leanseg.errors import UsageError
from leanseg.images.image import Image
from leanseg.report.figures import CORRECT, EXTRA, LEGEND, MISSED, error_overlay, overlay
from leanseg.types import Classes

ONE = Classes(names=("lesion",), colours=("#00FF00",))
GREY = Image(np.full((3, 40, 60), 100, np.uint8))

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def _square(top: int, left: int, size: int) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return mask


def test_overlay_outlines_the_mask_fills_it_lightly_and_leaves_the_rest() -> None:
    shown = overlay(GREY, _square(10, 10, 20), ONE)
    assert shown[10, 20, 1] > 230 and shown[10, 20, 0] < 20
    assert shown[20, 20].tolist() == [85, 123, 85]
    assert shown[35, 50].tolist() == [100, 100, 100]
    assert shown[9, 20].max() < 100, "a faint dark line outside keeps the outline visible on bright tissue"


def test_overlay_of_nothing_is_the_picture() -> None:
    assert (overlay(GREY, np.zeros((40, 60), np.uint8), ONE) == 100).all()


def test_every_class_has_its_colour_also_where_classes_overlap() -> None:
    classes = Classes(names=("a", "b"), colours=("#FF0000", "#0000FF"), overlapping=True)
    shown = overlay(GREY, np.stack([_square(2, 2, 12), _square(20, 30, 12)]), classes)
    assert shown[2, 8, 0] > 230 and shown[20, 36, 2] > 230


def test_large_images_are_shown_small_and_thin_lines_survive() -> None:
    labels = np.zeros((2000, 1000), np.uint8)
    labels[500:503] = 1
    shown = overlay(Image(np.zeros((3, 2000, 1000), np.uint8)), labels, ONE, longest=400)
    assert shown.shape == (400, 200, 3)
    assert shown[100, 100, 1] > 100


SIZE = (600, 900)


def _shown_disc(radius: int, *, beside: bool) -> tuple[np.ndarray, np.ndarray]:
    """The overlay around a small disc at a third of the size, alone or beside something large; and a large picture."""
    y, x = np.indices(SIZE)
    labels = (np.hypot(y - 301, x - 301) <= radius).astype(np.uint8)
    if beside:
        labels[100:500, 600:800] = 1
    shown = overlay(Image(np.full((3, *SIZE), 100, np.uint8)), labels, ONE, longest=300)
    return shown[85:116, 85:116].astype(int), shown


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 3, 9])
def test_a_ring_shows_a_small_lesion_without_covering_it(radius: int, beside: bool) -> None:
    near, shown = _shown_disc(radius, beside=beside)
    line = (near[..., 1] > 230) & (near[..., 0] < 20)
    assert line.sum() >= 8, "a line that can be seen"
    assert np.abs(near[15, 14:17] - 100).max() <= 24, "the lesion and what is next to it keep their brightness"
    gap = 1 + radius // 3
    assert line[15].nonzero()[0].min() >= 15 - gap - 2
    if beside:
        assert shown[100, 200, 1] > 230, "large ones have their line inside"
        assert shown[100, 199, 1] < 100


def test_shadows_do_not_darken_the_line_of_another_class() -> None:
    classes = Classes(names=("a", "b"), colours=("#FFFFFF", "#00FF00"), overlapping=True)
    labels = np.stack([_square(5, 5, 20), _square(5, 26, 20)])
    assert overlay(GREY, labels, classes)[15, 24].min() > 230


def test_the_legend_of_an_overlay_names_several_classes() -> None:
    classes = Classes(names=tuple(f"lesion {n}" for n in range(7)), overlapping=True)
    image = Image(np.full((3, 40, 300), 100, np.uint8))
    labels = np.zeros((7, 40, 300), np.uint8)
    shown = overlay(image, labels, classes)
    rows = (shown.shape[0] - 40) / 26
    assert rows == 3, "as many in a row as there is room for"
    assert (shown[:40] == 100).all()
    for colour in classes.colours:
        assert (shown[40:].reshape(-1, 3) == _rgb(colour)).all(axis=1).sum() > 100
    assert overlay(image, labels, classes, legend=False).shape == (40, 300, 3)


def test_volumes_show_the_slice_with_the_most_foreground() -> None:
    pixels = np.zeros((1, 3, 20, 20))
    pixels[0, 2, :, :10] = 50
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[2, 5:15, 5:15] = 1
    shown = overlay(Image(pixels), labels, ONE)
    assert shown.shape == (20, 20, 3)
    assert shown[0, 0].tolist() == [255, 255, 255] and shown[0, 19].tolist() == [0, 0, 0]


def test_error_colours_at_known_pixels() -> None:
    truth, prediction = _square(10, 10, 10), _square(10, 15, 10)
    shown = error_overlay(GREY, truth, prediction, classes=ONE, legend=False)
    assert shown.shape == (40, 60, 3)
    for column, colour in ((12, MISSED), (17, CORRECT), (22, EXTRA)):
        np.testing.assert_allclose(shown[15, column], 0.15 * 60 + 0.85 * _rgb(colour), atol=1)
    assert shown[35, 50].tolist() == [60, 60, 60]


def test_confused_classes_are_white() -> None:
    classes = Classes(names=("a", "b"))
    shown = error_overlay(GREY, _square(5, 5, 10), 2 * _square(5, 5, 10), classes=classes, legend=False)
    np.testing.assert_allclose(shown[8, 8], 0.15 * 60 + 0.85 * 255, atol=1)


def test_outside_the_valid_area_it_is_dark_and_without_errors() -> None:
    valid = np.zeros((40, 60), bool)
    valid[:, 30:] = True
    shown = error_overlay(GREY, _square(5, 5, 10), _square(5, 40, 10), classes=ONE, valid=valid, legend=False)
    assert shown[8, 8].tolist() == [21, 21, 21]
    np.testing.assert_allclose(shown[8, 45], 0.15 * 60 + 0.85 * _rgb(EXTRA), atol=1)


@pytest.mark.parametrize("width", [60, 900])
def test_the_legend_explains_every_colour_and_leaves_the_picture_alone(width: int) -> None:
    image = Image(np.full((3, 40, width), 100, np.uint8))
    labels = np.zeros((40, width), np.uint8)
    shown = error_overlay(image, labels, labels, classes=ONE)
    strip = shown[40:].reshape(-1, 3)
    for colour, _ in LEGEND:
        assert (strip == _rgb(colour)).all(axis=1).sum() > 100
    left = (shown.shape[1] - width) // 2
    assert (shown[:40, left : left + width] == 60).all()


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="do not belong"):
        overlay(GREY, np.zeros((4, 4), np.uint8), ONE)
    with pytest.raises(UsageError, match="same shape"):
        error_overlay(GREY, np.zeros((40, 60), np.uint8), np.zeros((4, 4), np.uint8), classes=ONE)


@pytest.mark.parametrize("vision", VISION)
def test_error_colours_differ_for_every_kind_of_colour_vision(vision: str) -> None:
    seen = []
    for colour in (CORRECT, EXTRA, MISSED):
        part = _rgb(colour) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        seen.append((VISION[vision] @ linear).clip(0, 1) ** (1 / 2.2))
    lab = cv2.cvtColor(np.array([seen], np.float32), cv2.COLOR_RGB2LAB)[0]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 30
