"""The bright disc of fundus photographs, drawn and real."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from leanseg.images.field_of_view import find_field_of_view
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.images.resample import whole


def drawn(size=(300, 400), centre=(150.0, 200.0), radius=120.0, inside=120.0, frame=5.0):
    y, x = np.mgrid[: size[0], : size[1]]
    disc = np.hypot(y - centre[0], x - centre[1]) < radius
    noise = np.random.default_rng(0).normal(0, 2, (3, *size))
    return np.clip(np.where(disc, inside, frame) + noise, 0, 255).astype(np.float32), disc


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("inside", [20.0, 60.0, 200.0, 50_000.0])
def test_dim_bright_and_16_bit_discs(inside):
    pixels, disc = drawn(inside=inside)
    if inside > 255:
        pixels = np.where(disc, inside, pixels)
    found = find_field_of_view(pixels)
    assert found.diameter == pytest.approx(240, abs=2)
    assert found.centre == pytest.approx((150, 200), abs=1)
    assert dice(found.mask, disc) > 0.98


def test_disc_cut_at_top_and_bottom_keeps_its_diameter():
    pixels, disc = drawn(size=(200, 400), centre=(100.0, 200.0), radius=150.0)
    found = find_field_of_view(pixels)
    assert found.diameter == pytest.approx(300, abs=3)
    assert dice(found.mask, disc) > 0.98


def test_letterbox_inside_the_picture():
    pixels, disc = drawn(radius=140.0)
    pixels[:, :60], pixels[:, -60:] = 3, 3
    disc[:60], disc[-60:] = False, False
    found = find_field_of_view(pixels)
    assert found.diameter == pytest.approx(280, abs=3)
    assert dice(found.mask, disc) > 0.98


def test_text_and_notch_do_not_count():
    pixels, disc = drawn()
    pixels[:, 5:25, 5:60] = 250
    pixels[:, 140:160, 315:330] = 150
    found = find_field_of_view(pixels)
    assert found.diameter == pytest.approx(240, abs=3)
    assert dice(found.mask, disc) > 0.98


def test_a_dark_bay_at_the_edge_belongs_to_the_field():
    pixels, disc = drawn()
    pixels[:, 150:180, 300:330] = 5
    assert dice(find_field_of_view(pixels).mask, disc) > 0.98


@pytest.mark.parametrize("value", [0.0, 130.0])
def test_a_constant_picture_is_all_field(value):
    found = find_field_of_view(np.full((3, 60, 80), value, np.float32))
    assert found.mask.all()
    assert found.diameter == pytest.approx(100)


def test_a_photograph_without_frame_is_all_field():
    pixels = np.random.default_rng(0).uniform(80, 200, (3, 90, 120)).astype(np.float32)
    assert find_field_of_view(pixels).mask.all()


def read(path):
    return np.asarray(PillowImage.open(path).convert("RGB"))


def found_on(path):
    image = Image(np.moveaxis(read(path), -1, 0), source=path)
    prepared = Preprocessing(field_of_view="fundus").prepare(image)
    return prepared.field(whole(image.shape)), prepared.field_of_view.diameter * prepared.block


def cases(root):
    for part in ("training", "test"):
        for path in sorted((root / "DRIVE" / part / "images").glob("*.tif")):
            yield path, next((root / "DRIVE" / part / "mask").glob(f"{path.stem}*"))
    for path in sorted((root / "CHASE_DB1" / "images").glob("*.jpg")):
        yield path, root / "CHASE_DB1" / "fov" / f"{path.stem}.gif"


@pytest.mark.data
def test_agrees_with_the_masks_that_data_sets_ship(data_root):
    pairs = list(cases(data_root))
    assert len(pairs) == 68
    for path, mask in pairs:
        truth = np.asarray(PillowImage.open(mask).convert("L")) > 127
        assert dice(found_on(path)[0], truth) > 0.98, path.name


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "low", "high"), [("HRF_4", 3250, 3310), ("FIVES_7", 1990, 2050), ("IDRiD_EX_OD_10", 3420, 3830)]
)
def test_diameters_of_other_cameras(data_root, folder, low, high):
    paths = sorted((data_root / folder / "images").glob("*.jpg"))
    assert paths
    for path in paths:
        assert low < found_on(path)[1] < high, path.name
