"""What computes a network's answer: ONNX Runtime, which needs no torch, or torch itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from leanseg.bundle import Bundle, Part
from leanseg.errors import InputError, UsageError, require

if TYPE_CHECKING:
    from torch import nn

BackendName: TypeAlias = Literal["onnx", "torch"]

_ONNX_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Backend(Protocol):
    """One network ready to answer."""

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, outputs, *spatial) of normalised pixels (N, C, *spatial)."""
        ...


class OnnxBackend:
    """A graph in ONNX Runtime.

    Args:
        path: the ``.onnx`` file.
        threads: processor threads; all by default.
        device: "cpu" or "cuda" (with onnxruntime-gpu installed).

    Raises:
        InputError: the file is no graph with one input and one output.
        UsageError: the device is not there.
    """

    def __init__(self, path: Path, *, threads: int | None = None, device: str = "cpu") -> None:
        provider = _ONNX_PROVIDERS.get(device)
        available = onnxruntime.get_available_providers()
        if provider not in available:
            usable = [name for name, wanted in _ONNX_PROVIDERS.items() if wanted in available]
            msg = f"ONNX Runtime here runs on {', '.join(usable)}, not on {device!r}"
            raise UsageError(f"{msg}; install onnxruntime-gpu for cuda, or use the torch backend")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Planning memory for a pattern of sizes keeps a second copy of it: twice the memory, no time gained.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # ONNX Runtime has no common class of errors
            raise InputError(path, f"ONNX Runtime cannot load the graph ({_first_line(error)})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(path, f"expected one input and one output, found {len(inputs)} and {len(outputs)}")
        self._input = inputs[0].name
        self._path = path

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of pixels.

        Raises:
            InputError: the graph does not take pixels of this size.
        """
        try:
            logits: NDArray[np.float32] = self._session.run(None, {self._input: pixels})[0]
        except Exception as error:
            msg = f"the graph fails on an input of size {pixels.shape} ({_first_line(error)})"
            raise InputError(self._path, msg) from error
        return logits


class TorchBackend:
    """A registered network in torch, folded where it can be.

    Args:
        part: names the net and its keywords.
        weights: the ``.safetensors`` file.
        threads: processor threads; all by default. It holds for all of torch.
        device: "cpu", "cuda" or "mps".

    Raises:
        MissingExtra: torch is not installed.
        InputError: the weights do not fit the net.
        UsageError: the net is unknown, or the device is not there.
    """

    def __init__(self, part: Part, weights: Path, *, threads: int | None = None, device: str = "cpu") -> None:
        self._torch = require("torch", extra="train")
        from leanseg import nets

        if device == "cuda" and not self._torch.cuda.is_available():
            raise UsageError("torch finds no CUDA device here; use --device cpu")
        if device == "mps" and not self._torch.backends.mps.is_available():
            raise UsageError("torch finds no Apple graphics processor here; use --device cpu")
        if threads is not None:
            self._torch.set_num_threads(threads)
        net = nets.create(part.net, **part.keywords)
        _load(net, weights)
        self._format: Any = self._torch.channels_last if part.dims == 2 else self._torch.channels_last_3d
        folded: Any = getattr(net.eval(), "folded", None)
        ready: Any = folded() if folded is not None else net
        self._net = ready.to(device=device, memory_format=self._format)
        self._device = device

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of pixels."""
        with self._torch.inference_mode():
            batch = self._torch.from_numpy(pixels).to(device=self._device, memory_format=self._format)
            logits: NDArray[np.float32] = self._net(batch).float().cpu().contiguous().numpy()
        return logits


def open_backend(
    part: Part, bundle: Bundle, *, kind: BackendName = "onnx", threads: int | None = None, device: str = "cpu"
) -> Backend:
    """Load one network of a bundle.

    Raises:
        UsageError: the bundle has no file for this backend.
    """
    if kind == "onnx" and part.onnx is not None:
        return OnnxBackend(bundle.path(part.onnx), threads=threads, device=device)
    if kind == "torch" and part.weights is not None:
        return TorchBackend(part, bundle.path(part.weights), threads=threads, device=device)
    other = "torch" if kind == "onnx" else "onnx"
    raise UsageError(f"the model {bundle.name} has no file for the {kind} backend; use backend={other!r}")


def _load(net: nn.Module, weights: Path) -> None:
    from safetensors.torch import load_file

    try:
        net.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise InputError(weights, f"the weights do not fit the net ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
