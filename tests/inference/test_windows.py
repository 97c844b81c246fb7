"""Overlapping windows fit together, whatever the size."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import InputError
from leanseg.images.image import Image
from leanseg.inference.memory import LIBRARIES
from leanseg.inference.predictor import Predictor
from leanseg.inference.windows import OVERLAP, window_rows, window_starts

SIZES = st.integers(1, 90)


@given(size=SIZES, parts=st.integers(1, 8), divisor=st.sampled_from([1, 4, 16]))
def test_windows_cover_the_axis_and_overlap(size: int, parts: int, divisor: int) -> None:
    size, window = size * divisor, 4 * parts * divisor
    starts = window_starts(size, window, divisor)
    assert starts[0] == 0 and max(starts[-1] + window, size) == max(window, size)
    assert all(start % divisor == 0 for start in starts)
    assert all(0 < after - before <= window - window // OVERLAP for before, after in pairwise(starts))


@given(height=SIZES, width=SIZES, window=st.sampled_from([8, 16, 24]))
def test_a_net_that_gives_back_its_image_gives_back_the_whole(height: int, width: int, window: int) -> None:
    plane = np.random.default_rng(height).random((2, height, width), np.float32)
    rows = list(window_rows(lambda region: plane[(slice(None), *region)], (height, width), window=window))
    assert [rows.start for rows, _ in rows][1:] == [rows.stop for rows, _ in rows][:-1]
    np.testing.assert_allclose(np.concatenate([maps for _, maps in rows], axis=1), plane, atol=1e-6)


def test_a_place_takes_most_from_the_window_in_whose_middle_it_lies() -> None:
    seen: list[int] = []

    def answer(region: Any) -> Any:
        seen.append(region[1].start)
        return np.full((1, 8, 16), len(seen), np.float32)

    ((_, maps),) = window_rows(answer, (8, 30), window=16)
    assert seen == [0, 14][: len(seen)] and maps[0, 0, 0] == 1 and maps[0, 0, -1] == 2
    middle = maps[0, 0, 14:16]
    assert 1 < middle[0] < 1.5 < middle[1] < 2


def image(*shape: int) -> Image:
    return Image(np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(150, 190), (41, 33), (30, 300), (1, 1)])
def test_a_model_shows_its_net_windows_as_in_training(make_bundle: Any, shape: tuple[int, int]) -> None:
    bundle = make_bundle("strided")
    whole = Predictor(bundle=bundle).predict(image(*shape), probabilities=True).probabilities
    windowed = replace(bundle, parts=(replace(bundle.parts[0], halo=None, window=64),))
    found = Predictor(bundle=windowed).predict(image(*shape), probabilities=True).probabilities
    assert found is not None and whole is not None
    assert found.shape == whole.shape
    # The net sees no further than 12 pixels, so that windows differ from the whole at their edges only.
    assert np.abs(found - whole).mean() < 0.01
    assert (np.abs(found - whole).max() > 1e-4) == (max(shape) > 64)


def test_windows_need_memory_for_one_window_only(make_bundle: Any) -> None:
    bundle = make_bundle("strided")
    parts = (replace(bundle.parts[0], halo=None, window=64, bytes_per_pixel=4000),)
    room = LIBRARIES + 40 * 10**6
    assert Predictor(bundle=replace(bundle, parts=parts), memory=room).predict(image(400, 400)).labels.shape == (
        400,
        400,
    )
    with pytest.raises(InputError, match="whole image at once"):
        Predictor(bundle=replace(bundle, parts=(replace(parts[0], window=None),)), memory=room).predict(image(400, 400))
