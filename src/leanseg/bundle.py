"""A model as a folder: configuration, weights and card, laid out as the Hugging Face Hub expects."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from leanseg.errors import InputError, LeansegError, UsageError
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes

FORMAT_VERSION = 1
CONFIG, CARD = "config.json", "README.md"
TRAINED_ON = "trained-on.txt"
"""In a model's folder: a digest of the pixels of each image that it learnt from; a line each."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network of a model.

    Args:
        net: its name in the registry of nets, for instance "mini-net".
        keywords: constructor keywords.
        weights: safetensors file beside the configuration; None where only the ONNX graph is shipped.
        onnx: ONNX file: (N, C, *spatial) normalised pixels to (N, outputs, *spatial) logits; None without one.
        temperature: logits are divided by it before they become probabilities: one number, or one for each class
            where classes overlap.
        dims: 2 for pictures and slices, 3 for volumes.
        divisor: the net's spatial sizes are multiples of this many pixels.
        halo: pixels around a place that its answer depends on; None when it depends on the whole image.
        window: side in pixels of the overlapping windows that a net without a halo is shown of larger images, as it
            learnt from such crops; None shows it whole images.
        bytes_per_pixel: peak memory of the net per pixel of a tile, as measured when it was exported.

    Raises:
        UsageError: a value that cannot be.
    """

    net: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    onnx: str | None = None
    temperature: tuple[float, ...] = (1.0,)
    dims: int = 2
    divisor: int = 1
    halo: int | None = None
    window: int | None = None
    bytes_per_pixel: int = 1024

    def __post_init__(self) -> None:
        _check(isinstance(self.net, str) and bool(self.net), "net is the name of a network", self.net)
        _check(isinstance(self.keywords, Mapping), "keywords are names and values", self.keywords)
        _check(self.weights is not None or self.onnx is not None, "a part has weights, an ONNX graph or both", None)
        for name, ending in ((self.weights, ".safetensors"), (self.onnx, ".onnx")):
            if name is not None:
                _check(_plain(name) and name.endswith(ending), f"a file in the folder ending in {ending}", name)
        fits = len(self.temperature) > 0 and all(_number(t) and t > 0 for t in self.temperature)
        _check(fits, "temperature holds numbers above 0", self.temperature)
        _check(self.dims in (2, 3), "dims is 2 or 3", self.dims)
        _check(_count(self.divisor), "divisor is a whole number from 1", self.divisor)
        _check(self.halo is None or self.halo == 0 or _count(self.halo), "halo is None or pixels", self.halo)
        fits = self.window is None or (_count(self.window) and self.window % self.divisor == 0)
        _check(fits, f"window is None or a multiple of {self.divisor} pixels", self.window)
        _check(_count(self.bytes_per_pixel), "bytes_per_pixel is a whole number from 1", self.bytes_per_pixel)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model: networks, how their answers combine, what goes in, what comes out and where it all came from.

    Args:
        name: what the model is called.
        parts: one or several networks.
        combine: how probabilities of several parts become one: "mean".
        threshold: for each class the probability above which a pixel belongs to it, after combination; 0.5 by default.
            Not used where several classes compete (the most probable one wins).
        classes: what is segmented.
        preprocessing: from the pixels of a file to what the networks see.
        reference: what training images look like, by which unlike images are recognised; see ``leanseg.quality``.
        quality: class -> how its Dice follows from a mask and its probabilities; see ``leanseg.quality``.
        snapshots: weights (safetensors, half precision) of the first part while it learnt, the earliest first.
        provenance: how the model was trained.
        data_licence: licence of the training data.
        card: the text of ``README.md``; see :func:`model_card`.
        folder: where the files lie; None before the bundle is written.

    Raises:
        UsageError: the values do not fit together.

    Example:
        >>> part = Part(net="mini-net", onnx="model.onnx", divisor=4, halo=48)
        >>> Bundle(name="vessels", parts=(part,), classes=Classes(names=("vessel",))).threshold
        (0.5,)
    """

    name: str
    parts: tuple[Part, ...]
    classes: Classes
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    combine: str = "mean"
    threshold: tuple[float, ...] = ()
    reference: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    snapshots: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    data_licence: str = ""
    card: str = ""
    folder: Path | None = None

    def __post_init__(self) -> None:
        count = len(self.classes.names)
        if not self.threshold:
            object.__setattr__(self, "threshold", (0.5,) * count)
        _check(isinstance(self.name, str) and bool(self.name), "name is the model's name", self.name)
        _check(len(self.parts) > 0, "a model has at least one part", len(self.parts))
        _check(self.combine == "mean", "combine is 'mean'", self.combine)
        fits = len(self.threshold) == count and all(_number(t) and 0 <= t <= 1 for t in self.threshold)
        _check(fits, f"threshold holds {count} numbers in [0, 1], one for each class", self.threshold)
        found = [part.temperature for part in self.parts]
        fits = all(len(one) == 1 or (self.classes.overlapping and len(one) == count) for one in found)
        _check(fits, "temperature is one number, or one for each overlapping class", found)
        fits = all(_plain(name) and name.endswith(".safetensors") for name in self.snapshots)
        _check(fits, "snapshots are files in the folder ending in .safetensors", self.snapshots)
        _check(len({part.dims for part in self.parts}) == 1, "parts agree in dims", [part.dims for part in self.parts])

    def path(self, file: str) -> Path:
        """Where a file of the bundle lies.

        Raises:
            UsageError: the bundle was never written.
        """
        if self.folder is None:
            raise UsageError(f"the model {self.name} is not in a folder yet; write_bundle puts it there")
        return self.folder / file

    @property
    def files(self) -> tuple[str, ...]:
        """All files that belong to it beside configuration and card."""
        named = [name for part in self.parts for name in (part.weights, part.onnx) if name is not None]
        return (*named, *self.snapshots)

    @property
    def trained_on(self) -> frozenset[str]:
        """Digests of the images that the model learnt from; empty where it does not know them."""
        file = None if self.folder is None else self.folder / TRAINED_ON
        return frozenset(file.read_text(encoding="ascii").split()) if file and file.is_file() else frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as written to ``config.json``."""
        fields = {k: v for k, v in vars(self).items() if k not in ("card", "folder")}
        plain = {
            "parts": [asdict(part) for part in self.parts],
            "classes": self.classes.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
        }
        return {"format_version": FORMAT_VERSION, **fields, **plain}


def read_bundle(model: str | Path) -> Bundle:
    """Read a model's folder, checking everything in it; weights themselves are read when they are needed.

    Args:
        model: a folder, or the name of a model that comes with leanseg.

    Raises:
        InputError: files are missing or broken, or a newer leanseg wrote the folder.
        UsageError: there is no model of that name.

    Example:
        >>> read_bundle("no-such-model")
        Traceback (most recent call last):
        leanseg.errors.UsageError: no model 'no-such-model': neither a folder nor one of ...
    """
    folder = _find(model)
    config = folder / CONFIG
    try:
        fields = json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(folder, f"not a model: it has no {CONFIG}. Give the folder that training wrote.") from None
    except (OSError, ValueError) as error:
        raise InputError(config, f"expected JSON, found something else ({error}). Copy the model again.") from error
    bundle = _from_fields(fields, config)
    for name in bundle.files:
        _check_file(folder / name)
    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    return Bundle(**{**vars(bundle), "card": text, "folder": folder})


def write_bundle(bundle: Bundle, folder: Path, *, files: Mapping[str, bytes]) -> Bundle:
    """Write a model's folder as a whole; a model that was there is replaced when all is written.

    Args:
        bundle: the model.
        folder: where to; it may exist when it is empty or holds a model.
        files: contents of the parts' weights (safetensors) and graphs (ONNX), of snapshots and of any other file, by
            the name relative to the folder.

    Returns:
        The bundle, knowing its folder.

    Raises:
        UsageError: a part's file is missing or a name leads out of the folder.
        InputError: the folder holds something other than a model.
    """
    missing = sorted(set(bundle.files) - set(files))
    wrong = sorted(name for name in files if not _plain(name) or name in (CONFIG, CARD))
    if missing or wrong:
        raise UsageError(f"the model {bundle.name}: files missing: {missing}, names not allowed: {wrong}")
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir()):
        raise InputError(folder, "holds files other than a model. Choose another folder.")
    config = json.dumps(bundle.to_dict(), indent=2, default=_plain_type, allow_nan=False) + "\n"
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        contents = {**files, CONFIG: config.encode(), CARD: bundle.card.encode()}
        for name, content in contents.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return read_bundle(folder)


def model_card(*, text: str, licence: str, tags: Sequence[str] = (), datasets: Sequence[str] = ()) -> str:
    """A model card with the front matter that the Hugging Face Hub reads.

    Args:
        text: the card in Markdown.
        licence: of the weights, as the Hub spells it, for instance "cc-by-4.0".
        tags: further words by which the model is found.
        datasets: names of the training data on the Hub.

    Example:
        >>> print(model_card(text="# Vessels", licence="cc-by-4.0", tags=["fundus"]))
        ---
        license: "cc-by-4.0"
        library_name: "leanseg"
        pipeline_tag: "image-segmentation"
        tags: ["leanseg", "medical", "fundus"]
        datasets: []
        ---
        <BLANKLINE>
        # Vessels
        <BLANKLINE>
    """
    head = {
        "license": licence,
        "library_name": "leanseg",
        "pipeline_tag": "image-segmentation",
        "tags": ["leanseg", "medical", *tags],
        "datasets": list(datasets),
    }
    # JSON is YAML: quoted this way no name can break the front matter.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    return "\n".join(["---", *lines, "---", "", text.strip(), ""])


def zoo() -> dict[str, Path]:
    """The models that come with leanseg: name -> folder."""
    root = Path(str(resources.files("leanseg"))) / "zoo"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG}"))}


def _find(model: str | Path) -> Path:
    known = zoo()
    # A folder that merely has the name of a model, for instance of photographs, does not hide the model.
    if Path(model).is_dir() and (str(model) not in known or (Path(model) / CONFIG).is_file()):
        return Path(model)
    if str(model) not in known:
        names = ", ".join(known) or "none"
        raise UsageError(f"no model {str(model)!r}: neither a folder nor one of the models of leanseg ({names})")
    return known[str(model)]


def _from_fields(fields: Any, config: Path) -> Bundle:
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if version is None or not _count(version):
        inside = config.parent / "model"
        hint = f". This is the folder of a training; its model is {inside}" if (inside / CONFIG).is_file() else ""
        raise InputError(config, f"expected a leanseg model with a format_version, found {version!r}{hint}")
    if version > FORMAT_VERSION:
        msg = f"format {version} is newer than the {FORMAT_VERSION} that this leanseg reads"
        raise InputError(config, f"{msg}. Upgrade with: pip install --upgrade leanseg")
    plain = {k: v for k, v in fields.items() if k not in ("format_version", "card", "folder")}
    try:
        plain["parts"] = tuple(_part(part) for part in plain["parts"])
        plain["classes"] = Classes.from_dict(plain["classes"])
        plain["preprocessing"] = Preprocessing.from_dict(plain["preprocessing"])
        plain["threshold"] = tuple(plain["threshold"])
        plain["snapshots"] = tuple(plain.get("snapshots", ()))
        return Bundle(**plain)
    except KeyError as error:
        raise InputError(config, f"the entry {error} is missing. Copy the model again.") from error
    except (LeansegError, TypeError, ValueError, AttributeError) as error:
        raise InputError(config, f"{error}. Copy the model again, or upgrade leanseg.") from error


def _part(fields: Mapping[str, Any]) -> Part:
    temperature = fields.get("temperature", 1.0)
    several = temperature if isinstance(temperature, list) else [temperature]
    return Part(**{**fields, "temperature": tuple(several)})


def _check_file(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(path, "the file is missing or empty. Copy the model again.")
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"not a safetensors file ({error}). Copy the model again.") from error


def _check(holds: bool, expected: str, found: object) -> None:
    if not holds:
        raise UsageError(f"expected that {expected}; found {found!r}")


def _plain(name: object) -> bool:
    """Whether a name stays inside the folder."""
    if not isinstance(name, str) or not name or "\\" in name or ":" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and not name.startswith(".")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _plain_type(value: Any) -> Any:
    """Numbers of numpy and paths in what the caller reports, as JSON knows them."""
    return value.item() if hasattr(value, "item") else dict(value) if isinstance(value, Mapping) else str(value)
