"""One graph answers as leanseg does, whatever the preprocessing."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest

from leanseg.bundle import Bundle
from leanseg.errors import LeansegError, UsageError
from leanseg.export.end_to_end import end_to_end
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes

Make = Callable[..., Bundle]
TWO = Classes(names=("disc", "cup"))
BOTH = Classes(names=("soft", "hard"), overlapping=True)


def run(bundle: Bundle, image: np.ndarray, **inputs: np.ndarray) -> np.ndarray:
    """Probabilities (K, *spatial) of (*spatial, C)."""
    feeds = {"image": image[None]} | {name: value[None] for name, value in inputs.items()}
    probabilities = onnxruntime.InferenceSession(end_to_end(bundle)).run(None, feeds)[0][0]
    return np.asarray(probabilities)


def leanseg(bundle: Bundle, image: np.ndarray) -> np.ndarray:
    pixels = Image(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
    found = Predictor(bundle=bundle, backend="onnx").predict(pixels, probabilities=True).probabilities
    assert found is not None
    return found


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("preprocessing", "classes"),
    [
        (Preprocessing(), Classes(names=("vessel",))),
        (Preprocessing(channels=("grey",), normalise="percentile"), TWO),
        (Preprocessing(channels=("green", "red"), normalise="none"), BOTH),
        (Preprocessing(channels=("grey", "blue"), longest=40), TWO),
        (Preprocessing(field_of_view="fundus", diameter=60.0), Classes(names=("vessel",))),
    ],
)
def test_pictures(make_bundle: Make, preprocessing: Preprocessing, classes: Classes) -> None:
    temperature = 1.7
    bundle = make_bundle(
        "strided", "strided", preprocessing=preprocessing, classes=classes, temperature=temperature
    )  # fmt: skip
    for shape in ((48, 52), (33, 70), (20, 1030)):
        image = noise(*shape, 3)
        inputs = {"valid": np.ones(shape, np.uint8)} if preprocessing.field_of_view == "fundus" else {}
        found, wanted = run(bundle, image, **inputs), leanseg(bundle, image)
        assert found.shape == (len(classes.names), *shape)
        np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_a_value_in_the_unit_of_the_file(make_bundle: Make) -> None:
    bundle = make_bundle("strided", preprocessing=Preprocessing(channels=("ct", "pet"), window=(-100.0, 300.0)))
    image = np.random.default_rng(0).normal(50, 200, (24, 30, 2)).astype(np.float32)
    np.testing.assert_allclose(run(bundle, image), leanseg(bundle, image), atol=1e-4)


@pytest.mark.parametrize("channels", [("ct",), ("grey",)])
def test_volumes(make_bundle: Make, channels: tuple[str, ...]) -> None:
    bundle = make_bundle("strided", preprocessing=Preprocessing(channels=channels), dims=3)
    image = np.random.default_rng(0).normal(50, 200, (9, 12, 270, 1)).astype(np.float32)
    np.testing.assert_allclose(run(bundle, image), leanseg(bundle, image), atol=1e-4)


@pytest.mark.parametrize("channels", [("grey",), ("red", "green", "blue")])
def test_pictures_of_more_than_8_bits(make_bundle: Make, channels: tuple[str, ...]) -> None:
    bundle = make_bundle("strided", preprocessing=Preprocessing(channels=channels, values="any"))
    image = np.random.default_rng(0).integers(0, 1 << 16, (40, 44, len(channels))).astype(np.float32)
    np.testing.assert_allclose(run(bundle, image), leanseg(bundle, image), atol=2e-4)


def test_an_alpha_channel_counts_nothing_and_any_number_says_valid(make_bundle: Make) -> None:
    bundle = make_bundle(preprocessing=Preprocessing(field_of_view="fundus"))
    image, valid = noise(40, 40, 4), np.zeros((40, 40), np.uint8)
    valid[5:35, 5:35] = 255
    found = run(bundle, image, valid=valid)
    np.testing.assert_array_equal(found, run(bundle, image[..., :3], valid=valid // 255))
    assert not found[0][valid == 0].any() and found[0][valid > 0].all()


def test_a_field_of_view_that_leanseg_finds(make_bundle: Make) -> None:
    bundle = make_bundle("strided", preprocessing=Preprocessing(field_of_view="fundus", diameter=100.0))
    y, x = np.mgrid[:120, :130]
    image = np.where(np.hypot(y - 59.5, x - 64.5)[..., None] < 50, noise(120, 130, 3) // 2 + 80, 4).astype(np.uint8)
    pixels = Image(np.ascontiguousarray(image.transpose(2, 0, 1)))
    prepared = bundle.preprocessing.prepare(pixels)
    valid = prepared.field((slice(0, 120), slice(0, 130)))
    # The rim that does not count for the statistics is a square's here and a disc's there: a few pixels differ.
    np.testing.assert_allclose(run(bundle, image, valid=valid.astype(np.uint8)), leanseg(bundle, image), atol=0.02)


def test_several_images_at_once(make_bundle: Make) -> None:
    bundle = make_bundle("strided", preprocessing=Preprocessing(longest=40))
    images = noise(2, 30, 60, 3)
    session = onnxruntime.InferenceSession(end_to_end(bundle))
    (both,) = session.run(None, {"image": images})
    for found, image in zip(both, images, strict=True):
        np.testing.assert_allclose(found, leanseg(bundle, image), atol=2e-4)


def test_what_a_program_has_to_know_is_in_the_graph(make_bundle: Make) -> None:
    bundle = make_bundle(classes=BOTH, threshold=(0.2, 0.6), data_licence="CC BY 4.0")
    facts = onnxruntime.InferenceSession(end_to_end(bundle)).get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == ["soft", "hard"] and json.loads(facts["thresholds"]) == [0.2, 0.6]
    assert facts["data_licence"] == "CC BY 4.0" and facts["normalise"] == "z-score" and facts["leanseg"]
    assert facts["image"] == "uint8 (N, height, width, 3 or more): red, green, blue first"


def test_clahe_is_refused(make_bundle: Make) -> None:
    with pytest.raises(UsageError, match="equalises lightness"):
        end_to_end(make_bundle(preprocessing=Preprocessing(clahe=2.0)))


def test_a_graph_of_other_operators_is_refused(make_bundle: Make) -> None:
    import onnx

    bundle = make_bundle()
    path = bundle.path("part0.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = 9
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LeansegError, match="expected a graph of ONNX operators 17"):
        end_to_end(bundle)
