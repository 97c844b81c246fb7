"""The bundled weights: golden outputs on a free photograph, scores on a camera they never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.data import retina

from leanseg.bundle import read_bundle
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor
from leanseg.workflows.contestants import Model
from leanseg.workflows.evaluation import evaluate_cases

GOLDEN = {(1100, 602): 0.0937, (844, 465): 0.2443, (712, 198): 0.4501, (461, 809): 0.6010, (430, 150): 0.9863}
"""Probabilities by (row, column)."""
FRACTION = 0.1142


def test_golden_outputs() -> None:
    found = Predictor(bundle=read_bundle("vessels")).predict(
        Image(np.ascontiguousarray(retina().transpose(2, 0, 1))), probabilities=True
    )
    assert found.probabilities is not None
    for (row, column), wanted in GOLDEN.items():
        assert found.probabilities[0, row, column] == pytest.approx(wanted, abs=2e-3)
    assert found.mask("vessel").mean() == pytest.approx(FRACTION, abs=5e-4)


def test_torch_and_onnx_agree() -> None:
    bundle = read_bundle("vessels")
    photograph = Image(np.ascontiguousarray(retina()[::2, ::2].transpose(2, 0, 1)))
    maps = [
        Predictor(bundle=bundle, backend=backend).predict(photograph, probabilities=True).probabilities
        for backend in ("onnx", "torch")
    ]
    assert np.abs(maps[0] - maps[1]).max() < 1e-4


@pytest.mark.data
def test_scores_on_drive(data_root: Path, tmp_path: Path) -> None:
    public_set("drive").convert(data_root / "DRIVE", tmp_path / "drive")
    dataset, bundle = open_dataset(tmp_path / "drive"), read_bundle("vessels")
    model = Model(name="vessels", predictor=Predictor(bundle=bundle), classes=bundle.classes, wanted=dataset.classes)
    # The card says 0.790 on all test images; these are the first five.
    [summary] = evaluate_cases(dataset, dataset.subset("test")[:5], [model]).summaries
    assert summary.means["dice"].mean > 0.78
