"""Polygons cover exactly the pixels they came from."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow
from PIL import ImageDraw
from scipy import ndimage

from leanseg.inference.contours import contours, polygons
from leanseg.types import Classes

masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def area(ring):
    """Shoelace; positive when clockwise on screen."""
    (x, y) = np.array(ring, float).T
    return 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])


def drawn(rings, shape):
    """Even-odd filling at the centres of pixels, on a grid four times finer."""
    sheet = Pillow.new("L", (shape[1] * 4, shape[0] * 4))
    draw = ImageDraw.Draw(sheet)
    for number, ring in enumerate(rings):
        draw.polygon([(4 * x - 0.5, 4 * y - 0.5) for x, y in ring], fill=int(number == 0))
    return np.asarray(sheet)[2::4, 2::4] > 0


@given(masks)
def test_polygons_have_the_area_of_their_pieces(mask):
    pieces, count = ndimage.label(mask)
    found = polygons(mask)
    assert len(found) == count
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    assert [sum(area(ring) for ring in rings) for rings in found] == sizes.tolist()
    for rings in found:
        assert area(rings[0]) > 0
        assert all(area(ring) < 0 for ring in rings[1:])
        assert all(ring[0] == ring[-1] and len(ring) >= 5 for ring in rings)


@given(masks)
def test_filled_polygons_are_the_mask(mask):
    # Holes are drawn after their outer ring; what lies in a hole is a piece of its own.
    together = np.zeros_like(mask)
    for rings in polygons(mask):
        together |= drawn(rings, mask.shape)
    np.testing.assert_array_equal(together, mask)


def test_straight_edges_have_no_extra_corners():
    assert polygons(np.ones((3, 5), bool)) == [[[[0, 0], [5, 0], [5, 3], [0, 3], [0, 0]]]]


def test_features_name_class_colour_and_slice():
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[1, 1, 1] = 2
    classes = Classes(names=("disc", "cup"), colours=("#000000", "#FF8000"))
    (feature,) = json.loads(json.dumps(contours(labels, classes=classes)))["features"]
    assert feature["properties"]["classification"] == {"name": "cup", "color": [255, 128, 0]}
    assert feature["geometry"]["plane"]["z"] == 1
    overlapping = Classes(names=("a", "b"), overlapping=True)
    found = contours(np.ones((2, 2, 2), np.uint8), classes=overlapping)["features"]
    assert [f["properties"]["classification"]["name"] for f in found] == ["a", "b"]


def test_single_objects_have_outlines_of_their_own_where_they_touch():
    objects = np.zeros((4, 6), np.int32)
    objects[1:3, 1:3], objects[1:3, 3:5] = 1, 3
    classes = Classes(names=("nucleus",))
    found = contours((objects > 0).astype(np.uint8), classes=classes, objects=[objects])["features"]
    assert [one["properties"]["name"] for one in found] == ["1", "3"]
    for one, number in zip(found, (1, 3), strict=True):
        np.testing.assert_array_equal(drawn(one["geometry"]["coordinates"], objects.shape), objects == number)
