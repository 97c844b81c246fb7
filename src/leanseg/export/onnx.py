"""A trained network as an ONNX graph of any size, folded where the network can, compared with torch when written."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import numpy as np

from leanseg import silent
from leanseg.errors import LeansegError, require

SIZES = ((64, 64), (52, 88), (37, 45))
TOLERANCE = 1e-4


def export_onnx(net: Any, *, channels: int) -> bytes:
    """Write a network as ONNX: normalised pixels to logits, batch and image size left open.

    Args:
        net: a torch module that takes (N, C, *spatial) and declares ``dims``.
        channels: C.

    Returns:
        The file's contents.

    Raises:
        LeansegError: the graph's answers differ from the network's.
    """
    torch = require("torch", extra="train")
    require("onnxscript", extra="train")
    from leanseg.nets.folding import folded

    net = folded(net).eval().cpu()
    axes = {0: "batch"} | {axis: f"size_{axis}" for axis in range(2, 2 + net.dims)}
    example = torch.zeros(1, channels, *SIZES[0][:1] * net.dims)
    file = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            net,
            (example,),
            file,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": axes, "logits": axes},
            opset_version=17,
            dynamo=False,
        )
    _compare(net, file.getvalue(), channels)
    return file.getvalue()


def _compare(net: Any, graph: bytes, channels: int) -> None:
    """Run both on noise of several sizes, odd ones included."""
    torch = require("torch", extra="train")
    session = silent.onnxruntime().InferenceSession(graph, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for height, width in SIZES:
        shape = (2, channels, height, width) if net.dims == 2 else (1, channels, 24, height, width)
        noise = random.standard_normal(shape, np.float32)
        with torch.no_grad():
            wanted = net(torch.from_numpy(noise)).numpy()
        (found,) = session.run(None, {"image": noise})
        difference = float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
        if found.shape != wanted.shape or not difference <= TOLERANCE:
            msg = f"the exported graph differs from the network by {difference:.1e} at {height}x{width}"
            raise LeansegError(f"{msg}; expected at most {TOLERANCE:.0e}. Report this with the network's keywords.")
