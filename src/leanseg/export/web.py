"""A folder that segments images in a browser, offline: page, runtime and model."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tarfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import leanseg
from leanseg.bundle import Bundle
from leanseg.errors import InputError, UsageError

RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
ARCHIVE = f"{RUNTIME}-{VERSION}.tgz"
GET = f"npm pack {RUNTIME}@{VERSION}"

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
        runtime: ONNX Runtime Web as npm gives it: the archive, or the folder that was unpacked from it. By default the
            archive in the current folder.

    Raises:
        UsageError: the model does not run in a browser, or there is no runtime; the message says how to get it.
        InputError: the runtime is another version, or the folder holds something else.

    Example:
        >>> from leanseg.bundle import read_bundle
        >>> export_web(read_bundle("vessels"), Path("page"))
        Traceback (most recent call last):
        leanseg.errors.UsageError: the page runs on onnxruntime-web 1.30.0 (MIT), which does not come with leanseg. ...
    """
    _check_model(bundle)
    files = _read_runtime(runtime or _archive_here())
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


def _archive_here() -> Path:
    """Where npm puts what it fetches."""
    if Path(ARCHIVE).is_file():
        return Path(ARCHIVE)
    raise UsageError(
        f"the page runs on {RUNTIME} {VERSION} (MIT), which does not come with leanseg. Get it once (33 MB):\n"
        f"  {GET}\n"
        f"or, without Node.js, download version {VERSION} of the npm package {RUNTIME} in a browser.\n"
        f"Then run this again in the same folder, or name the file: --runtime path/to/{ARCHIVE}"
    )


def _read_runtime(runtime: Path) -> dict[str, bytes]:
    """Files of the page's folder, after their contents were checked."""
    contents = _contents(runtime)
    for name, _, digest in _FILES:
        if hashlib.sha256(contents.get(name, b"")).hexdigest() != digest:
            what = "holds another version of" if name in contents else "does not hold"
            raise InputError(runtime, f"{what} {name} of {RUNTIME} {VERSION}. Get it with: {GET}")
    return {f"runtime/{target}": contents[name] for name, target, _ in _FILES}


def _contents(runtime: Path) -> dict[str, bytes]:
    """Those files of the package that are there, out of the archive or of the unpacked folder."""
    names = [name for name, _, _ in _FILES]
    if runtime.is_dir():
        places = [runtime / inner / name for inner in (".", "dist", "package/dist") for name in names]
        return {place.name: place.read_bytes() for place in places if place.is_file()}
    wanted = {f"package/dist/{name}": name for name in names}
    found = {}
    try:
        # Unpacking is what takes time: once, and no further than needed.
        with tarfile.open(runtime, "r|*") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted else None
                if file is not None:
                    found[wanted[member.name]] = file.read()
                if len(found) == len(wanted):
                    break
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        msg = f"expected {ARCHIVE} or the folder unpacked from it ({error}). Get it with: {GET}"
        raise InputError(runtime, msg) from error
    return found


def _model(bundle: Bundle) -> dict[str, bytes]:
    """Configuration, card and graphs; nothing about how and from what files the model was trained."""
    plain = bundle.to_dict()
    config: dict[str, Any] = {"leanseg": leanseg.__version__}
    for name in ("name", "classes", "preprocessing", "threshold", "reference", "quality", "data_licence"):
        config[name] = plain[name]
    used = ("onnx", "temperature", "divisor", "halo", "window", "bytes_per_pixel")
    config["parts"] = [{name: part[name] for name in used} for part in plain["parts"]]
    files = {_CONFIG: json.dumps(config, indent=2, allow_nan=False).encode(), "model/card.txt": _card(bundle).encode()}
    graphs = {part.onnx for part in bundle.parts if part.onnx is not None}
    return files | {f"model/{name}": bundle.path(name).read_bytes() for name in sorted(graphs)}


def _card(bundle: Bundle) -> str:
    """The model card without the front matter, which is for machines."""
    text = bundle.card
    return text.split("---\n", 2)[2].strip() if text.startswith("---\n") and text.count("---\n") > 1 else text.strip()
