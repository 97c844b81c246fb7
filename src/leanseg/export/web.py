"""A folder that segments images in a browser, offline: page, runtime and model."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

import leanseg
from leanseg.bundle import Bundle
from leanseg.errors import InputError, UsageError

RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
ARCHIVE = f"{RUNTIME}-{VERSION}.tgz"

# Name in the package, name in the folder (any server knows what .js is), SHA-256.
_FILES = (
    (
        "ort.wasm.bundle.min.mjs",
        "onnxruntime-web.js",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    (
        "ort-wasm-simd-threaded.wasm",
        "onnxruntime-web.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
)
_CONFIG = "model/config.json"


def export_web(bundle: Bundle, folder: Path, *, runtime: Path | None = None) -> None:
    """Write a static page that segments images with a model; a page that was there is replaced when all is written.

    The page loads nothing from elsewhere and sends nothing: any web server can give it out, also one without a network.

    Args:
        bundle: a model for pictures, each of its parts with an ONNX graph.
        folder: where to; it may exist when it is empty or holds such a page.
        runtime: ONNX Runtime Web as npm gives it: the archive, or the folder that was unpacked from it.

    Raises:
        UsageError: the model does not run in a browser, or no runtime is given; the message says how to get it.
        InputError: the runtime is another version, or the folder holds something else.

    Example:
        >>> from leanseg.bundle import read_bundle
        >>> export_web(read_bundle("vessels"), Path("page"))
        Traceback (most recent call last):
        leanseg.errors.UsageError: the page runs on onnxruntime-web 1.30.0 (MIT, 14 MB), which does not come with ...
    """
    _check_model(bundle)
    files = _read_runtime(runtime)
    if folder.exists() and not (folder / _CONFIG).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "holds something other than such a page. Choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        with resources.as_file(resources.files("leanseg.export") / "web") as page:
            shutil.copytree(page, fresh)
        for name, content in (files | _model(bundle)).items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_model(bundle: Bundle) -> None:
    without = [part.net for part in bundle.parts if part.onnx is None]
    channels = len(bundle.preprocessing.channels)
    if without:
        raise UsageError(f"the model {bundle.name} has no ONNX graph for {', '.join(without)}; export it to onnx first")
    if bundle.parts[0].dims != 2:
        raise UsageError(f"the model {bundle.name} is for volumes; a browser segments pictures only")
    if channels not in (1, 3):
        raise UsageError(f"the model {bundle.name} needs {channels} channels; a browser opens images with 1 or 3")


def _read_runtime(runtime: Path | None) -> dict[str, bytes]:
    """Files of the page's folder, after their contents were checked."""
    if runtime is None:
        raise UsageError(
            f"the page runs on {RUNTIME} {VERSION} (MIT, 14 MB), which does not come with leanseg. Get it, name it:\n"
            f"  npm pack {RUNTIME}@{VERSION}\n"
            f"  leanseg export --to web --runtime {ARCHIVE} ..."
        )
    found = {}
    for name, target, digest in _FILES:
        content = _read_file(runtime, name)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            what = "does not hold" if content is None else "holds another version of"
            msg = f"{what} {name} of {RUNTIME} {VERSION}. Get it with: npm pack {RUNTIME}@{VERSION}"
            raise InputError(runtime, msg)
        found[f"runtime/{target}"] = content
    return found


def _read_file(runtime: Path, name: str) -> bytes | None:
    """A file of the package, out of the archive or of the unpacked folder; None where it is missing."""
    if runtime.is_dir():
        places = (runtime / "package" / "dist" / name, runtime / "dist" / name, runtime / name)
        return next((place.read_bytes() for place in places if place.is_file()), None)
    try:
        with tarfile.open(runtime) as archive:
            member = archive.extractfile(f"package/dist/{name}")
            return None if member is None else member.read()
    except KeyError:
        return None
    except (OSError, tarfile.TarError) as error:
        msg = f"expected {ARCHIVE} or the folder unpacked from it ({error}). Get it with: npm pack {RUNTIME}@{VERSION}"
        raise InputError(runtime, msg) from error


def _model(bundle: Bundle) -> dict[str, bytes]:
    """Configuration, card and graphs; nothing about how and from what files the model was trained."""
    plain = bundle.to_dict()
    config: dict[str, Any] = {"leanseg": leanseg.__version__}
    for name in ("name", "classes", "preprocessing", "threshold", "reference", "quality", "data_licence"):
        config[name] = plain[name]
    used = ("onnx", "temperature", "divisor", "halo", "window", "bytes_per_pixel")
    config["parts"] = [{name: part[name] for name in used} for part in plain["parts"]]
    files = {_CONFIG: json.dumps(config, indent=2, allow_nan=False).encode(), "model/README.md": _card(bundle).encode()}
    graphs = {part.onnx for part in bundle.parts if part.onnx is not None}
    return files | {f"model/{name}": bundle.path(name).read_bytes() for name in sorted(graphs)}


def _card(bundle: Bundle) -> str:
    """The model card without the front matter, which is for machines."""
    text = bundle.card
    return text.split("---\n", 2)[2].strip() if text.startswith("---\n") and text.count("---\n") > 1 else text.strip()
