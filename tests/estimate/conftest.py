"""Synthetic images whose masks a reverse segmenter can learn from one another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from testers.threads import one_thread  # noqa: F401

Scene = tuple[NDArray[np.float32], NDArray[np.bool_]]


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """An image (1, side, side) of a bright ellipse on a slope with noise, and the ellipse; the seed moves all of it."""

    def make(seed: int, side: int = 64) -> Scene:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:side, :side] / side
        centre, radii = rng.uniform(0.38, 0.62, 2), rng.uniform(0.15, 0.28, 2)
        mask = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
        image = 40 * x + 60 * mask + rng.normal(0, 6, (side, side)) + rng.uniform(0, 50)
        return image[None].astype(np.float32), mask

    return make
