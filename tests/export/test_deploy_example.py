"""The example of the page on deployment does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from skimage.data import retina

from leanseg.bundle import read_bundle
from leanseg.export.end_to_end import end_to_end
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "deploy.md"


def test_numpy_and_onnx_runtime_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        if "onnxruntime" in block
    ]
    bundle = read_bundle("vessels")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "end_to_end.onnx").write_bytes(end_to_end(bundle))
    monkeypatch.chdir(tmp_path)
    names = {"photo": retina()}
    exec(example, names)
    wanted = Predictor(bundle=bundle, backend="onnx").predict(Image(np.ascontiguousarray(retina().transpose(2, 0, 1))))
    assert (names["mask"] == wanted.mask("vessel")).mean() >= 0.98
