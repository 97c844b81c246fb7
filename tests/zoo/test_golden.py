"""The bundled weights: golden outputs on free pictures, the same from torch as from ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage.data import immunohistochemistry, retina

from leanseg.bundle import read_bundle, zoo
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor

Photograph = Callable[[], Any]
PICTURES: dict[str, Photograph] = {"nuclei": immunohistochemistry, "vessels": retina}
MODELS = sorted(zoo())
"""A model that is added needs a picture and golden outputs."""
GOLDEN = {
    "nuclei": {(473, 444): 0.0580, (371, 441): 0.2218, (355, 224): 0.4310, (269, 268): 0.6838, (316, 439): 0.9608},
    "vessels": {(1100, 602): 0.0937, (844, 465): 0.2443, (712, 198): 0.4501, (461, 809): 0.6010, (430, 150): 0.9863},
}
"""Probabilities by (row, column)."""
SHARES = {"nuclei": 0.0197, "vessels": 0.1142}
"""Of the pixels, inside the mask."""


def picture(model: str, *, step: int = 1) -> Image:
    return Image(np.ascontiguousarray(PICTURES[model]()[::step, ::step].transpose(2, 0, 1)))


@pytest.mark.parametrize("model", MODELS)
def test_golden_outputs(model: str) -> None:
    found = Predictor(bundle=read_bundle(model)).predict(picture(model), probabilities=True)
    assert found.probabilities is not None
    for (row, column), wanted in GOLDEN[model].items():
        assert found.probabilities[0, row, column] == pytest.approx(wanted, abs=2e-3)
    assert (found.labels > 0).mean() == pytest.approx(SHARES[model], abs=5e-4)


@pytest.mark.parametrize("model", MODELS)
def test_torch_and_onnx_agree(model: str) -> None:
    maps = [
        Predictor(bundle=read_bundle(model), backend=backend)
        .predict(picture(model, step=2), probabilities=True)
        .probabilities
        for backend in ("onnx", "torch")
    ]
    assert np.abs(maps[0] - maps[1]).max() < 1e-4
