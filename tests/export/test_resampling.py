"""A graph resizes as leanseg does, and finds the same size for the network."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from leanseg.export import resampling
from leanseg.export.graph import Graph
from leanseg.export.statistics import sizes
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.images.resample import Resampling

pytest.importorskip("onnx")


@pytest.mark.parametrize(
    ("before", "after"), [((30, 41), (12, 20)), ((9, 12), (30, 12)), ((5, 7), (5, 7)), ((40, 3), (7, 9))]
)
def test_pictures_are_resized_by_the_same_filter(before: tuple[int, int], after: tuple[int, int]) -> None:
    graph = Graph()
    source = graph.input("x", np.float32, ["n", 2, "h", "w"])
    result = resampling.resample(graph, source, sizes(graph, source, 2), [graph.whole(size) for size in after])
    graph.output("y", result, ["n", 2, "h2", "w2"])
    pixels = np.random.default_rng(0).normal(size=(3, 2, *before)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(graph.serialised({})).run(None, {"x": pixels})
    np.testing.assert_allclose(found, Resampling(before=before, after=after)(pixels), atol=1e-5)


def scale_of(valid: np.ndarray, *, diameter: float) -> float:
    graph = Graph()
    source = graph.input("valid", np.float32, [1, 1, "h", "w"])
    spatial = sizes(graph, source, 2)
    graph.output("scale", resampling.scale_to_diameter(graph, source, spatial, diameter), [1])
    (found,) = onnxruntime.InferenceSession(graph.serialised({})).run(
        None, {"valid": valid.astype(np.float32)[None, None]}
    )
    return float(found.item())


def disc(height: int, width: int, diameter: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) < diameter / 2


@pytest.mark.parametrize(("height", "width"), [(300, 310), (200, 310)])
def test_the_disc_that_leanseg_finds_gets_nearly_the_same_size(height: int, width: int) -> None:
    photograph = Image(np.where(disc(height, width, 280), np.uint8(120), np.uint8(3))[None])
    prepared = Preprocessing(channels=("grey",), field_of_view="fundus", diameter=140.0).prepare(photograph)
    found = scale_of(prepared.field(tuple(slice(0, size) for size in photograph.shape)), diameter=140.0)
    assert found == pytest.approx(prepared.scale, rel=0.01)


def test_a_disc_of_about_the_size_stays_as_it_is() -> None:
    assert scale_of(disc(110, 120, 100), diameter=104.0) == 1.0


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_without_an_edge_the_diagonal_counts(fill: float) -> None:
    assert scale_of(np.full((30, 40), fill), diameter=100.0) == pytest.approx(2.0)


@pytest.mark.parametrize(("shape", "wanted"), [((30, 100), 0.5), ((30, 40), 1.0)])
def test_only_larger_pictures_shrink(shape: tuple[int, int], wanted: float) -> None:
    graph = Graph()
    source = graph.input("x", np.float32, [1, 1, "h", "w"])
    graph.output("scale", resampling.scale_to_longest(graph, sizes(graph, source, 2), 50), [1])
    (found,) = onnxruntime.InferenceSession(graph.serialised({})).run(None, {"x": np.zeros((1, 1, *shape), np.float32)})
    assert found.item() == pytest.approx(wanted)
