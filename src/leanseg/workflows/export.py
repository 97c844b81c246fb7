"""``leanseg export``: a model for programs that do not use leanseg."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from leanseg import silent
from leanseg.bundle import Bundle, Part, read_bundle
from leanseg.errors import LeansegError, UsageError
from leanseg.export.end_to_end import end_to_end
from leanseg.export.metadata import about_model, about_network, as_text, takes_bytes, takes_colours
from leanseg.export.openvino import export_openvino
from leanseg.export.web import export_web
from leanseg.images.atomic import replacing
from leanseg.images.image import Image
from leanseg.inference.backends import OnnxBackend, OpenVinoBackend
from leanseg.inference.predictor import Predictor
from leanseg.report.words import size

SIZES: dict[int, tuple[tuple[int, ...], ...]] = {2: ((64, 64), (75, 90), (40, 1060)), 3: ((8, 24, 20), (6, 270, 12))}
"""What exported graphs are tried on, by the dimensions of the net; the last ones have statistics of low resolution."""

TOLERANCE = {"probabilities": 1e-3, "logits": 1e-4, "half": 2e-2}
"""How far an exported graph may be off: a probability; a logit, as a share of the largest one, in full and half."""


@dataclass(kw_only=True)
class Export:
    """Write a model for programs without leanseg; graphs are compared with leanseg when they are written.

    Args:
        model: the name of a model that comes with leanseg, or the folder of one.
        to: onnx (the network, and one graph from the pixels of a file to probabilities), openvino (the network) or web
            (a page that segments images in a browser, offline).
        out: the folder for the files.
        half: openvino keeps weights in half precision.
        runtime: for web, ONNX Runtime Web as npm gives it, the archive or the unpacked folder; by default
            onnxruntime-web-1.30.0.tgz in the current folder.
    """

    model: str
    to: Literal["onnx", "openvino", "web"]
    out: Path
    half: bool = False
    runtime: Path | None = None

    def run(self) -> int:
        """Write the files and name them.

        Raises:
            MissingExtra: onnx or OpenVINO is not installed.
            UsageError: the model cannot be exported this way.
            LeansegError: what was written answers differently.
        """
        if self.half and self.to != "openvino":
            raise UsageError("--half is for --to openvino")
        if self.runtime is not None and self.to != "web":
            raise UsageError("--runtime is for --to web")
        bundle = read_bundle(self.model)
        if any(part.onnx is None for part in bundle.parts):
            raise UsageError(f"the model {bundle.name} has no ONNX graph; export what leanseg train wrote")
        if self.to == "web":
            export_web(bundle, self.out, runtime=self.runtime)
            _tell({self.out: sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())})
            return 0
        files = _onnx(bundle) if self.to == "onnx" else _openvino(bundle, half=self.half)
        for name, content in files.items():
            with replacing(self.out / name) as part:
                part.write_bytes(content)
        _tell({self.out / name: len(content) for name, content in files.items()})
        return 0


def _tell(written: Mapping[Path, int]) -> None:
    console = Console(highlight=False)
    for path, count in written.items():
        console.print(f"{escape(str(path))}  [dim]{size(count)}[/]", soft_wrap=True)


def _onnx(bundle: Bundle) -> dict[str, bytes]:
    graph = end_to_end(bundle)
    _check_end_to_end(graph, bundle)
    files = {part.onnx: bundle.path(part.onnx).read_bytes() for part in bundle.parts if part.onnx is not None}
    return {"end_to_end.onnx": graph, **files, **_about(bundle, about_model(bundle))}


def _openvino(bundle: Bundle, *, half: bool) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for part in bundle.parts:
        assert part.onnx is not None
        facts = about_network(bundle, part)
        graph, name = bundle.path(part.onnx), Path(part.onnx).with_suffix(".xml").name
        with TemporaryDirectory() as folder:
            written = Path(folder) / name
            export_openvino(graph, written, metadata=as_text(facts), half=half)
            _check_openvino(written, graph, bundle, part, half=half)
            files |= {file.name: file.read_bytes() for file in (written, written.with_suffix(".bin"))}
    return {**files, **_about(bundle, facts)}


def _about(bundle: Bundle, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The metadata again, for programs that cannot read it in the graph, and the model's card with its licence."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    return {"model.json": text.encode(), "model_card.md": bundle.card.encode()}


def _check_end_to_end(graph: bytes, bundle: Bundle) -> None:
    """Compare with leanseg itself on noise."""
    session = silent.onnxruntime().InferenceSession(graph, providers=["CPUExecutionProvider"])
    predictor = Predictor(bundle=bundle, backend="onnx")
    dims, settings = bundle.parts[0].dims, bundle.preprocessing
    channels = 3 if takes_colours(bundle) else len(settings.channels)
    largest = about_model(bundle)["largest"]
    random = np.random.default_rng(0)
    for shape in SIZES[dims]:
        shape = shape if largest is None else tuple(min(side, largest) for side in shape)
        pixels = random.integers(0, 256, (*shape, channels))
        kind = np.uint8 if takes_bytes(bundle) else np.float32
        feeds: dict[str, NDArray[Any]] = {"image": pixels.astype(kind)[None]}
        if settings.field_of_view == "fundus":
            feeds["valid"] = np.ones((1, *shape), np.uint8)
        image = Image(np.ascontiguousarray(np.moveaxis(pixels.astype(kind), -1, 0)))
        wanted = predictor.predict(image, probabilities=True).probabilities
        _compare(session.run(None, feeds)[0][0], wanted, TOLERANCE["probabilities"], "probabilities")


def _check_openvino(file: Path, graph: Path, bundle: Bundle, part: Part, *, half: bool) -> None:
    """Compare with the ONNX graph on noise."""
    found, wanted = OpenVinoBackend(file), OnnxBackend(graph)
    random = np.random.default_rng(0)
    for shape in SIZES[part.dims][:2]:
        rounded = [-(-side // part.divisor) * part.divisor for side in shape]
        noise = random.standard_normal((1, len(bundle.preprocessing.channels), *rounded), np.float32)
        logits = wanted.run(noise)
        scale = max(1.0, float(np.abs(logits).max()))
        _compare(found.run(noise) / scale, logits / scale, TOLERANCE["half" if half else "logits"], "logits")


def _compare(found: NDArray[Any], wanted: NDArray[Any] | None, tolerance: float, what: str) -> None:
    assert wanted is not None
    difference = float(np.abs(found - wanted).max()) if found.shape == wanted.shape else np.inf
    if not difference <= tolerance:
        msg = f"the exported {what} differ from those of leanseg by {difference:.1e} on {wanted.shape} pixels"
        raise LeansegError(f"{msg}; expected at most {tolerance:.0e}. Report this with the model's config.json.")
