"""A graph in OpenVINO's format answers as it did, and carries what a program has to know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from leanseg.bundle import Bundle
from leanseg.inference.backends import OnnxBackend, OpenVinoBackend

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'leanseg[openvino]'")


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-5), (True, 1e-2)])
def test_logits_and_metadata(make_bundle: Callable[..., Bundle], tmp_path: Path, half: bool, tolerance: float) -> None:
    from leanseg.export.openvino import export_openvino

    graph, file = make_bundle("strided").path("part0.onnx"), tmp_path / "model.xml"
    export_openvino(graph, file, metadata={"data_licence": "CC BY 4.0"}, half=half)
    pixels = np.random.default_rng(0).normal(size=(1, 3, 24, 36)).astype(np.float32)
    wanted = OnnxBackend(graph).run(pixels)
    np.testing.assert_allclose(OpenVinoBackend(file).run(pixels), wanted, atol=tolerance * np.abs(wanted).max())
    assert openvino.Core().read_model(str(file)).get_rt_info(["leanseg", "data_licence"]).astype(str) == "CC BY 4.0"


def test_half_precision_halves_the_weights(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    from leanseg.export.openvino import export_openvino

    graph = make_bundle("strided").path("part0.onnx")
    sizes = []
    for half in (False, True):
        export_openvino(graph, tmp_path / "model.xml", metadata={}, half=half)
        sizes.append((tmp_path / "model.bin").stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.05)
