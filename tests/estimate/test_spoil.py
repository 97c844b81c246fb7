"""Flaws made on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.estimate.spoil import FLAWS, spoilt
from leanseg.images.image import Geometry, Image


def picture(kind: type, *shape: int) -> Image:
    random = np.random.default_rng(0)
    return Image(random.integers(0, 200, (2, *shape)).astype(kind), Geometry(spacing=(0.5,) * len(shape)))


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("shape", [(30, 50), (6, 30, 50)])
def test_a_flaw_keeps_type_range_and_geometry(flaw: str, kind: type, shape: tuple[int, ...]) -> None:
    image = picture(kind, *shape)
    same = spoilt(image, flaw=flaw, strength=0.0, seed=1)
    np.testing.assert_array_equal(same.pixels, image.pixels)
    slight, worse = (spoilt(image, flaw=flaw, strength=s, seed=1) for s in (0.3, 1.0))
    assert worse.pixels.dtype == kind and worse.geometry == image.geometry
    assert image.pixels.min() <= worse.pixels.min() and worse.pixels.max() <= image.pixels.max()
    change = [np.abs(i.pixels.astype(float) - image.pixels).mean() for i in (slight, worse)]
    assert 0 < change[0] < change[1]
    np.testing.assert_array_equal(worse.pixels, spoilt(image, flaw=flaw, strength=1.0, seed=1).pixels)
