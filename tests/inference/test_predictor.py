"""Tiles equal the whole, on every grid, for every kind of net."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leanseg.errors import InputError, UsageError
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.inference import predictor as module
from leanseg.inference.memory import LIBRARIES
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes

TWO = Classes(names=("disc", "cup"), values=(128, 255))


def picture(shape=(150, 190), channels=3, seed=0):
    return Image(np.random.default_rng(seed).integers(0, 256, (channels, *shape), dtype=np.uint8))


def maps(bundle, image, **options):
    found = Predictor(bundle=bundle, **options).predict(image, probabilities=True)
    return found.probabilities


def small_tiles(monkeypatch, *sides):
    monkeypatch.setattr(module, "SIDES", {2: sides, 3: sides})


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("shape", [(150, 190), (97, 61), (3, 200), (1, 1)])
def test_tiles_equal_the_whole(make_bundle, monkeypatch, shape, flips):
    bundle = make_bundle("strided", classes=TWO)
    whole = maps(bundle, picture(shape), flips=flips)
    small_tiles(monkeypatch, 48)
    np.testing.assert_allclose(maps(bundle, picture(shape), flips=flips), whole, atol=1e-5)


def test_too_small_a_halo_would_be_seen(make_bundle, monkeypatch):
    bundle = make_bundle("strided", classes=TWO)
    whole = maps(bundle, picture())
    small_tiles(monkeypatch, 48)
    short = replace(bundle, parts=(replace(bundle.parts[0], halo=1),))
    assert np.abs(maps(short, picture()) - whole).max() > 1e-3


@pytest.mark.parametrize("diameter", [60.0, 300.0])
def test_tiles_equal_the_whole_where_pictures_are_resized(make_bundle, monkeypatch, diameter):
    y, x = np.mgrid[:170, :190]
    disc = np.hypot(y - 85, x - 95) < 80
    image = Image(np.where(disc, picture((170, 190)).pixels // 2 + 60, 0).astype(np.uint8))
    bundle = make_bundle("strided", preprocessing=Preprocessing(field_of_view="fundus", diameter=diameter))
    predictor = Predictor(bundle=bundle)
    whole = predictor.predict(image, probabilities=True)
    small_tiles(monkeypatch, 48)
    monkeypatch.setattr(module, "CHUNK", 4 * 190 * 7)
    bands = list(predictor.bands(predictor.prepare(image)))
    assert len(bands) > 20
    np.testing.assert_allclose(np.concatenate([b.probabilities for b in bands], axis=1), whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([b.labels for b in bands]) > 0, whole.probabilities[0] > 0.5)
    field = np.concatenate([b.field for b in bands])
    assert whole.probabilities.shape == (1, 170, 190)
    assert not whole.probabilities[0, ~field].any()
    assert 0.9 < field.sum() / disc.sum() < 1


def test_volumes_go_slice_by_slice_through_a_2d_net(make_bundle):
    bundle = make_bundle("strided", preprocessing=Preprocessing(channels=("CT",), normalise="none"))
    volume = Image(np.random.default_rng(0).normal(size=(1, 4, 30, 26)).astype(np.float32))
    found = maps(bundle, volume)
    for z in range(4):
        np.testing.assert_allclose(found[:, z], maps(bundle, Image(volume.pixels[:, z])), atol=1e-6)


def test_volumes_in_a_3d_net(make_bundle, monkeypatch):
    bundle = make_bundle("strided", dims=3, preprocessing=Preprocessing(channels=("CT",)))
    volume = Image(np.random.default_rng(0).normal(size=(1, 37, 41, 30)).astype(np.float32))
    whole = maps(bundle, volume)
    small_tiles(monkeypatch, 32)
    np.testing.assert_allclose(maps(bundle, volume), whole, atol=1e-5)
    with pytest.raises(InputError, match="expected a volume, found a picture"):
        maps(bundle, Image(volume.pixels[:, 0]))


def test_parts_and_temperature_are_averaged(make_bundle):
    plain = Preprocessing(normalise="none")
    image = picture((16, 16))
    one = make_bundle("bright", preprocessing=plain, name="one")
    both = make_bundle("bright", "strided", preprocessing=plain, name="both")
    second = replace(both, parts=both.parts[1:])
    np.testing.assert_allclose(maps(both, image), (maps(one, image) + maps(second, image)) / 2, atol=1e-6)
    faint = Image(image.pixels / np.float32(500))
    warm = make_bundle("strided", preprocessing=plain, temperature=4.0, name="warm")
    cold = make_bundle("strided", preprocessing=plain, name="cold")
    logit, cooled = (np.log(p / (1 - p)) for p in (maps(cold, faint), maps(warm, faint)))
    np.testing.assert_allclose(cooled, logit / 4, atol=1e-4)


def test_flips_average_four_views(make_bundle):
    bundle = make_bundle("strided", preprocessing=Preprocessing(normalise="none"))
    image = picture((20, 24))
    turned = [np.flip(maps(bundle, Image(np.flip(image.pixels, axes))), axes) for axes in [(), (1,), (2,), (1, 2)]]
    np.testing.assert_allclose(maps(bundle, image, flips=True), np.mean(turned, axis=0), atol=1e-6)


def test_single_objects_and_masks_by_name(make_bundle):
    pixels = np.zeros((1, 20, 20), np.uint8)
    pixels[:, 2:8, 2:8] = 255
    pixels[:, 12:15, 12:15] = 255
    one = Classes(names=("disc",), single_object=True)
    bundle = make_bundle("bright", classes=one, preprocessing=Preprocessing(channels=("grey",)))
    found = Predictor(bundle=bundle).predict(Image(pixels))
    assert found.mask("disc").sum() == 36
    assert found.probabilities is None
    with pytest.raises(UsageError, match="no class"):
        found.mask("cup")


def test_memory_decides_the_tile_and_refuses_with_figures(make_bundle):
    bundle = make_bundle("strided")
    image = picture((600, 700))
    roomy, tight = (
        Predictor(bundle=bundle, memory=memory)._side(bundle.preprocessing.prepare(image))
        for memory in (2 * 10**9, LIBRARIES + 50 * 10**6)
    )
    assert roomy == 700
    assert 28 <= tight < 300
    with pytest.raises(InputError, match=r"takes \d+ MB \(a tile of 28 pixels\), the memory limit is 330 MB"):
        Predictor(bundle=bundle, memory=LIBRARIES).predict(image)


def test_a_global_net_sees_the_whole_or_refuses(make_bundle, monkeypatch):
    bundle = make_bundle("strided")
    expected = maps(bundle, picture())
    everything = replace(bundle, parts=(replace(bundle.parts[0], halo=None),))
    small_tiles(monkeypatch, 48)
    np.testing.assert_array_equal(maps(everything, picture()), expected)
    with pytest.raises(InputError, match="needs the whole image at once"):
        Predictor(bundle=everything, memory=LIBRARIES + 20 * 10**6).predict(picture())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 70)), side=st.sampled_from([28, 36, 48]))
def test_any_size(make_bundle, monkeypatch, shape, side):
    bundle = make_bundle("strided")
    with monkeypatch.context() as patch:
        whole = maps(bundle, picture(shape))
        patch.setattr(module, "SIDES", {2: (side,)})
        np.testing.assert_allclose(maps(bundle, picture(shape)), whole, atol=1e-5)


@pytest.mark.parametrize("threads", [0, -3])
def test_a_model_needs_a_thread(make_bundle, threads):
    with pytest.raises(UsageError, match="from 1"):
        Predictor(bundle=make_bundle(), threads=threads)
