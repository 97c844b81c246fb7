"""The verb writes what was compared, and refuses what it cannot write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from leanseg.bundle import Bundle, write_bundle
from leanseg.cli import main
from leanseg.errors import LeansegError, UsageError
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes
from leanseg.workflows import export
from leanseg.workflows.export import Export

Make = Callable[..., Bundle]


@pytest.mark.parametrize(
    ("preprocessing", "dims"),
    [
        (Preprocessing(field_of_view="fundus", diameter=60.0), 2),
        (Preprocessing(channels=("ct",), window=(0.0, 200.0)), 3),
    ],
)
def test_onnx(make_bundle: Make, tmp_path: Path, preprocessing: Preprocessing, dims: int) -> None:
    classes = Classes(names=("a", "b"))
    bundle = make_bundle("strided", "bright", dims=dims, card="free", classes=classes, preprocessing=preprocessing)
    assert main(["export", "--model", str(bundle.folder), "--to", "onnx", "--out", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"end_to_end.onnx", "part0.onnx", "part1.onnx", "model.json", "model_card.md"}
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["classes"] == list(bundle.classes.names) and facts["normalise"] == "z-score"
    onnxruntime.InferenceSession(tmp_path / "out" / "end_to_end.onnx")


def test_a_net_that_is_shown_windows_is_compared_on_one(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle("strided")
    parts = tuple(replace(part, halo=None, window=32) for part in bundle.parts)
    assert bundle.folder is not None
    files = {"part0.onnx": bundle.path("part0.onnx").read_bytes()}
    write_bundle(replace(bundle, parts=parts), bundle.folder, files=files)
    assert Export(model=str(bundle.folder), to="onnx", out=tmp_path / "out").run() == 0


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'leanseg[openvino]'")
@pytest.mark.parametrize("half", [False, True])
def test_openvino(make_bundle: Make, tmp_path: Path, half: bool) -> None:
    bundle = make_bundle("strided")
    assert Export(model=str(bundle.folder), to="openvino", out=tmp_path / "out", half=half).run() == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"part0.xml", "part0.bin", "model.json", "model_card.md"}
    assert json.loads((tmp_path / "out" / "model.json").read_text())["divisor"] == 4


def test_a_graph_that_answers_otherwise_is_refused(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, other = make_bundle("bright", name="a"), make_bundle("strided", name="b")
    monkeypatch.setattr(export, "end_to_end", lambda _, right=export.end_to_end: right(other))
    with pytest.raises(LeansegError, match="probabilities differ from those of leanseg"):
        Export(model=str(bundle.folder), to="onnx", out=tmp_path / "out").run()
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle()
    with pytest.raises(UsageError, match="--half is for --to openvino"):
        Export(model=str(bundle.folder), to="onnx", out=tmp_path / "out", half=True).run()
    with pytest.raises(UsageError, match="--runtime is for --to web"):
        Export(model=str(bundle.folder), to="onnx", out=tmp_path / "out", runtime=tmp_path).run()
    with pytest.raises(UsageError, match="npm pack"):
        Export(model=str(bundle.folder), to="web", out=tmp_path / "out").run()
    part = replace(bundle.parts[0], onnx=None, weights="w.safetensors")
    from safetensors.numpy import save

    files = {"w.safetensors": save({"w": np.zeros(1, np.float32)})}
    alone = write_bundle(replace(bundle, parts=(part,)), tmp_path / "alone", files=files)
    with pytest.raises(UsageError, match="has no ONNX graph"):
        Export(model=str(alone.folder), to="onnx", out=tmp_path / "out").run()
