"""Whether an export is recording the network, which must then depend on no size and no number of its example."""

from __future__ import annotations

import torch


def is_tracing() -> bool:
    """True while ``torch.jit.trace`` or the ONNX exporter runs the network."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
