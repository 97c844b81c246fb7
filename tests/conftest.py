"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from leanseg.bundle import Bundle, Part, write_bundle
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes

# Tests that load ONNX Runtime by themselves must not report to its maker either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

VESSEL = Classes(names=("vessel",), values=(255,))

# How long an example takes says nothing about the code.
settings.register_profile("leanseg", deadline=None)
settings.load_profile("leanseg")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of public data sets; the test is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("LEANSEG_TEST_DATA", beside))
    if not root.is_dir():
        pytest.skip(f"public data sets not found: set LEANSEG_TEST_DATA or put them into {root}")
    return root


def conv(name: str, source: str, weights: np.ndarray, **attributes: object) -> tuple[list, list]:
    """A convolution node with its weights; ``onnx`` comes with the development extra."""
    from onnx import helper, numpy_helper

    kind = "ConvTranspose" if attributes.pop("transposed", False) else "Conv"
    node = helper.make_node(kind, [source, f"{name}_w"], [name], **attributes)
    return [node], [numpy_helper.from_array(weights.astype(np.float32), f"{name}_w")]


def as_model(nodes: list, weights: list, *, channels: int, outputs: int, dims: int) -> bytes:
    """An ONNX file with dynamic sizes, from ``x`` to ``y``."""
    from onnx import TensorProto, helper

    def port(name: str, count: int) -> object:
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["n", count, *(f"{name}{i}" for i in range(dims))]
        )

    graph = helper.make_graph(nodes, "net", [port("x", channels)], [port("y", outputs)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def bright_graph(*, channels: int, outputs: int, dims: int) -> bytes:
    """Logits 10 x (mean over channels) in every output but the first of several: what is bright is foreground."""
    kernel = np.full((outputs, channels, *[1] * dims), 10 / channels)
    if outputs > 1:
        kernel[0] = 0
    nodes, weights = conv("y", "x", kernel, kernel_shape=[1] * dims)
    return as_model(nodes, weights, channels=channels, outputs=outputs, dims=dims)


def strided_graph(*, channels: int, outputs: int, dims: int, seed: int = 0) -> bytes:
    """Random weights: two strides down, two up and a skip, so divisor 4, zero padding inside and a halo below 12."""
    from onnx import helper

    rng = np.random.default_rng(seed)
    three = {"kernel_shape": [3] * dims, "pads": [1] * 2 * dims}
    up = {"kernel_shape": [2] * dims, "strides": [2] * dims, "transposed": True}
    layers = (
        ("a", "x", rng.normal(0, 0.4, (6, channels, *[3] * dims)), three),
        ("b", "a_", rng.normal(0, 0.3, (6, 6, *[3] * dims)), {**three, "strides": [2] * dims}),
        ("c", "b_", rng.normal(0, 0.3, (6, 6, *[3] * dims)), {**three, "strides": [2] * dims}),
        ("m", "c_", rng.normal(0, 0.3, (6, 6, *[3] * dims)), three),
        ("d", "m_", rng.normal(0, 0.3, (6, 6, *[2] * dims)), dict(up)),
        ("e", "d_", rng.normal(0, 0.3, (6, 6, *[2] * dims)), dict(up)),
    )
    nodes: list = []
    weights: list = []
    for name, source, kernel, attributes in layers:
        made = conv(name, source, kernel, **attributes)
        nodes += [*made[0], helper.make_node("Relu", [name], [f"{name}_"])]
        weights += made[1]
    nodes.append(helper.make_node("Add", ["a_", "e_"], ["s"]))
    made = conv("y", "s", rng.normal(0, 0.3, (outputs, 6, *[1] * dims)), kernel_shape=[1] * dims)
    return as_model([*nodes, *made[0]], [*weights, *made[1]], channels=channels, outputs=outputs, dims=dims)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Write a bundle of one or more tiny graphs: ``"bright"`` (what is bright is foreground) or ``"strided"``."""
    pytest.importorskip("onnx")

    def make(
        *graphs: str,
        classes: Classes = VESSEL,
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008, an immutable value
        dims: int = 2,
        name: str = "tiny",
        temperature: float = 1.0,
        **fields: object,
    ) -> Bundle:
        size = {"channels": len(preprocessing.channels), "outputs": classes.outputs, "dims": dims}
        made, files = [], {}
        for number, kind in enumerate(graphs or ("bright",)):
            file = f"part{number}.onnx"
            bright = kind == "bright"
            files[file] = bright_graph(**size) if bright else strided_graph(**size, seed=number)
            halo, divisor = (0, 1) if bright else (12, 4)
            size_of = {"dims": dims, "halo": halo, "divisor": divisor}
            made.append(Part(net="mini-net", onnx=file, temperature=(temperature,), **size_of))
        bundle = Bundle(name=name, parts=tuple(made), classes=classes, preprocessing=preprocessing, **fields)
        return write_bundle(bundle, tmp_path / "models" / name, files=files)

    return make
