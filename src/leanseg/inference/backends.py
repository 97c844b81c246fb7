"""What computes a network's answer: ONNX Runtime or OpenVINO, which need no torch, or torch itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leanseg import silent
from leanseg.bundle import Bundle, Part
from leanseg.errors import InputError, UsageError, require

if TYPE_CHECKING:
    from torch import nn

BackendName: TypeAlias = Literal["auto", "onnx", "openvino", "torch"]

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
        onnxruntime = silent.onnxruntime()
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


class OpenVinoBackend:
    """A graph in OpenVINO on the processor.

    It is compiled once for images of any size.

    Args:
        path: the ``.onnx`` file, or the ``.xml`` file of an exported model with its ``.bin`` beside it.
        threads: processor threads; all by default.
        half: compute in bfloat16 where the processor can.

    Raises:
        MissingExtra: OpenVINO is not installed.
        InputError: the file is no graph with one input and one output, or OpenVINO does not know its operations.
    """

    def __init__(self, path: Path, *, threads: int | None = None, half: bool = False) -> None:
        core = _core()
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            # Left to itself it takes bfloat16 or half precision where the processor has them.
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            # Pinned threads of two runs would share the first cores and leave the others idle.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = core.compile_model(str(path), "CPU", options)
        except RuntimeError as error:
            raise InputError(path, f"OpenVINO cannot load the graph ({_first_line(error)})") from error
        if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
            found = f"{len(compiled.inputs)} and {len(compiled.outputs)}"
            raise InputError(path, f"expected one input and one output, found {found}")
        self._request = compiled.create_infer_request()
        self._turn = Lock()
        self._path = path

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of pixels.

        Raises:
            InputError: the graph does not take pixels of this size.
        """
        try:
            with self._turn:  # a request serves one thread at a time
                # Shared memory spares copies of both; the answer is overwritten by the next one.
                logits = self._request.infer([pixels], share_inputs=True, share_outputs=True)[0].copy()
        except RuntimeError as error:
            msg = f"the graph fails on an input of size {pixels.shape} ({_first_line(error)})"
            raise InputError(self._path, msg) from error
        result: NDArray[np.float32] = logits
        return result


@cache
def _core() -> Any:
    """OpenVINO's entry point, kept for as long as the process lives.

    It gives the thread that loads the CPU plugin a stack for signals. Where another thread dropped the last reference,
    that stack would be gone and the next signal, such as Ctrl-C, would end the process with a segmentation fault.
    """
    return silent.openvino().Core()


class TorchBackend:
    """A registered network in torch, folded where it can be.

    Args:
        part: names the net and its keywords.
        weights: the ``.safetensors`` file.
        threads: processor threads; all by default. It holds for all of torch.
        device: "cpu", "cuda" or "mps".
        half: compute convolutions and products in bfloat16.

    Raises:
        MissingExtra: torch is not installed.
        InputError: the weights do not fit the net.
        UsageError: the net is unknown, or the device is not there.
    """

    def __init__(
        self, part: Part, weights: Path, *, threads: int | None = None, device: str = "cpu", half: bool = False
    ) -> None:
        self._torch = require("torch", extra="train")
        from leanseg import nets
        from leanseg.nets.folding import folded

        if device == "cuda" and not self._torch.cuda.is_available():
            raise UsageError("torch finds no CUDA device here; use --device cpu")
        if device == "mps" and not self._torch.backends.mps.is_available():
            raise UsageError("torch finds no Apple graphics processor here; use --device cpu")
        if threads is not None:
            self._torch.set_num_threads(threads)
        net = nets.create(part.net, **part.keywords)
        _load(net, weights)
        self._format: Any = self._torch.channels_last if part.dims == 2 else self._torch.channels_last_3d
        ready: Any = folded(net.eval())
        self._net = ready.to(device=device, memory_format=self._format)
        self._device = device
        self._half = half

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of pixels."""
        with (
            self._torch.inference_mode(),
            self._torch.autocast(self._device, dtype=self._torch.bfloat16, enabled=self._half),
        ):
            batch = self._torch.from_numpy(pixels).to(device=self._device, memory_format=self._format)
            logits: NDArray[np.float32] = self._net(batch).float().cpu().contiguous().numpy()
        return logits


def fastest(parts: Sequence[Part], *, device: str = "cpu", half: bool = False) -> BackendName:
    """The fastest backend that is installed for the networks of a model.

    Args:
        parts: the networks.
        device: where they run.
        half: in bfloat16, which ONNX Runtime's graphs here are not for.

    Returns:
        "torch" where a network has no graph or the device is "mps"; "openvino" on the processor, where it is installed;
        else "onnx". For half precision "torch" takes the place of "onnx"; without it, "openvino" must be installed.

    Example:
        >>> fastest([Part(net="mini-net", onnx="model.onnx")], device="cuda")
        'onnx'
    """
    if device == "mps" or any(part.onnx is None for part in parts):
        return "torch"
    installed = find_spec("openvino") is not None
    if device == "cpu" and (installed or (half and find_spec("torch") is None)):
        return "openvino"
    return "torch" if half else "onnx"


def open_backend(
    part: Part,
    bundle: Bundle,
    *,
    kind: BackendName = "auto",
    threads: int | None = None,
    device: str = "cpu",
    half: bool = False,
) -> Backend:
    """Load one network of a bundle.

    Args:
        part: the network.
        bundle: the model that it belongs to.
        kind: what computes it; "auto" is :func:`fastest`.
        threads: processor threads; all by default.
        device: where it runs.
        half: in bfloat16.

    Raises:
        UsageError: the bundle has no file for this backend, or the backend does not run on the device or not in
            half precision.
    """
    kind = fastest(bundle.parts, device=device, half=half) if kind == "auto" else kind
    file = part.weights if kind == "torch" else part.onnx
    if file is None:
        other = "device='cpu'" if device == "mps" else "backend='onnx'" if kind == "torch" else "backend='torch'"
        raise UsageError(f"the model {bundle.name} has no file for the {kind} backend; use {other}")
    path = bundle.path(file)
    if kind == "torch":
        return TorchBackend(part, path, threads=threads, device=device, half=half)
    if kind == "onnx":
        if half:
            raise UsageError("the onnx backend computes in full precision; half needs backend openvino or torch")
        return OnnxBackend(path, threads=threads, device=device)
    if device != "cpu":
        raise UsageError(f"the openvino backend runs on cpu, not on {device!r}; use backend='auto'")
    return OpenVinoBackend(path, threads=threads, half=half)


def _load(net: nn.Module, weights: Path) -> None:
    from safetensors.torch import load_file

    try:
        net.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise InputError(weights, f"the weights do not fit the net ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
