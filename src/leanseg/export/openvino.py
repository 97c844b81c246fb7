"""A graph in OpenVINO's own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leanseg import silent


def export_openvino(graph: Path, file: Path, *, metadata: Mapping[str, str], half: bool = False) -> None:
    """Write a graph as ``.xml`` with its weights in ``.bin`` beside it.

    Args:
        graph: the ``.onnx`` file.
        file: the ``.xml`` file.
        metadata: texts that the file keeps under "leanseg" (``Model.get_rt_info``).
        half: keep weights in half precision: half the size, a little less exact.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    openvino = silent.openvino()
    model = openvino.Core().read_model(str(graph))
    for key, value in metadata.items():
        model.set_rt_info(value, ["leanseg", key])
    openvino.save_model(model, str(file), compress_to_fp16=half)
