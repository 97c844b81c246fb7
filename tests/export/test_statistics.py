"""Statistics computed by a graph equal those that leanseg computes of the same image."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from leanseg.export.graph import Graph
from leanseg.export.statistics import affine
from leanseg.images import statistics
from leanseg.images.image import Image

pytest.importorskip("onnx")


def computed(kind: str, pixels: np.ndarray, valid: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Shift and divisor, (N, C), of (N, C, *spatial)."""
    dims = pixels.ndim - 2
    graph = Graph()
    axes = [f"size{axis}" for axis in range(dims)]
    source = graph.input("x", np.float32, ["n", pixels.shape[1], *axes])
    where = None if valid is None else graph.input("valid", np.float32, [1, 1, *axes])
    for name, value in zip(("shift", "divisor"), affine(graph, kind, source, where, dims=dims), strict=True):
        graph.output(name, value, ["n", "c", *[1] * dims])
    session = onnxruntime.InferenceSession(graph.serialised({}))
    feeds = {"x": pixels.astype(np.float32)} | (
        {} if valid is None else {"valid": valid.astype(np.float32)[None, None]}
    )
    shift, divisor = session.run(None, feeds)
    return shift.reshape(shift.shape[:2]), divisor.reshape(divisor.shape[:2])


def wanted(kind: str, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    small = statistics.overview(Image(pixels), lambda part: part.astype(np.float32)).pixels
    return statistics.affine(kind, small, np.ones(small.shape[1:], bool))


@pytest.mark.parametrize("kind", ["z-score", "percentile"])
@pytest.mark.parametrize("shape", [(2, 30, 41), (1, 9, 1030), (3, 7, 1600), (1, 5, 6, 7), (2, 3, 10, 260)])
def test_of_a_whole_image_at_full_and_at_low_resolution(kind: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    batch = [random.gamma(2, 40, shape).astype(np.float32) for _ in range(2)]
    found = computed(kind, np.stack(batch))
    for number, pixels in enumerate(batch):
        for mine, theirs in zip(found, wanted(kind, pixels), strict=True):
            np.testing.assert_allclose(mine[number], theirs, rtol=2e-5)


def test_a_constant_channel_is_divided_by_one() -> None:
    shift, divisor = computed("z-score", np.full((1, 1, 8, 9), 7.0))
    assert (shift.item(), divisor.item()) == (7.0, 1.0)


def test_only_the_inside_of_the_valid_part_counts() -> None:
    # 40 x 40 valid pixels of 5 and 7; a hundredth of the extent is less than one, so that one ring is left out.
    valid = np.zeros((60, 50), bool)
    valid[10:50, 5:45] = True
    pixels = np.full((1, 1, 60, 50), 1000.0)
    pixels[0, 0, 11:49, 6:44] = 5.0
    pixels[0, 0, 11:49:2, 6:44] = 7.0
    shift, divisor = computed("z-score", pixels, valid)
    assert (shift.item(), divisor.item()) == (pytest.approx(6.0), pytest.approx(1.0))
    low, spread = computed("percentile", pixels, valid)
    assert (low.item(), spread.item()) == (pytest.approx(5.0), pytest.approx(2.0))


def test_nothing_valid_gives_numbers_all_the_same() -> None:
    shift, divisor = computed("z-score", np.ones((1, 1, 8, 9)), np.zeros((8, 9), bool))
    assert (shift.item(), divisor.item()) == (0.0, 1.0)
