"""The bundled weights on images of sources that they never saw: as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from leanseg.bundle import read_bundle
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.inference.predictor import Predictor
from leanseg.workflows.contestants import Model
from leanseg.workflows.evaluation import evaluate_cases


# Over all test images the cards say 0.790; these are the first five.
@pytest.mark.data
@pytest.mark.parametrize(("name", "public", "folder", "least"), [("vessels", "drive", "DRIVE", 0.78)])
def test_scores_elsewhere(name: str, public: str, folder: str, least: float, data_root: Path, tmp_path: Path) -> None:
    public_set(public).convert(data_root / folder, tmp_path / public)
    dataset, bundle = open_dataset(tmp_path / public), read_bundle(name)
    model = Model(name=name, predictor=Predictor(bundle=bundle), classes=bundle.classes, wanted=dataset.classes)
    [summary] = evaluate_cases(dataset, dataset.subset("test")[:5], [model]).summaries
    assert summary.means["dice"].mean > least
