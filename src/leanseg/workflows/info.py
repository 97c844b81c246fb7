"""``leanseg info``: what a model, an image or a dataset is, on one screen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors import safe_open

from leanseg.bundle import Bundle, read_bundle, zoo
from leanseg.data.dataset import SPLITS, size_text
from leanseg.data.folder import open_dataset
from leanseg.errors import InputError
from leanseg.images.image import PixelSource
from leanseg.images.read import is_image, open_image
from leanseg.quality.expected_dice import ExpectedDice
from leanseg.report.words import size

MEMORY = 2_000_000_000
"""Bytes that an image may take to be looked at as a whole."""


@dataclass(kw_only=True)
class Info:
    """Say what a model, an image or a dataset is; patient data from file headers is never shown.

    Args:
        what: a model's name or folder, an image or DICOM series, or a dataset.
        model: for an image, also say what this model would see.
    """

    what: tyro.conf.Positional[str]
    model: str | None = None

    def run(self) -> int:
        """Print one screen of facts.

        Raises:
            InputError: nothing is there, or it is of no known kind.
        """
        facts = self._facts()
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts.items():
            # No markup: names of files and classes may hold brackets.
            table.add_row(Text(name), Text(str(value)))
        Console(highlight=False).print(table)
        return 0

    def _facts(self) -> dict[str, object]:
        path = Path(self.what)
        if not path.exists():
            if self.what in zoo():
                return about_model(read_bundle(self.what))
            raise InputError(path, f"no such file, folder or model. Models of leanseg: {', '.join(zoo()) or 'none'}.")
        if path.is_dir() and (path / "config.json").is_file():
            return about_model(read_bundle(path))
        if is_image(path) or (path.is_file() and path.suffix != ".json"):
            return about_image(open_image(path, memory=MEMORY), model=self.model)
        return about_dataset(path)


def about_model(bundle: Bundle) -> dict[str, object]:
    """Facts about a model."""
    settings = bundle.preprocessing
    facts: dict[str, object] = {
        "Model": bundle.name,
        "Classes": ", ".join(bundle.classes.names),
        "Networks": ", ".join(f"{part.net} ({part.dims}-D)" for part in bundle.parts),
        "Parameters": _parameters(bundle),
        "Size": size(sum(_bytes(bundle, name) for name in bundle.files)),
        "Channels": ", ".join(settings.channels),
        "Normalisation": settings.normalise,
        "Field of view": settings.field_of_view,
        "Diameter": f"{settings.diameter:g} pixels" if settings.diameter else None,
        "Threshold": ", ".join(f"{value:.3f}" for value in bundle.threshold),
        "Expected Dice": _expected(bundle),
        "Knows unlike images": "yes" if bundle.reference else "no",
        "Licence of the training data": bundle.data_licence or "not stated",
    }
    facts |= {f"Provenance: {name}": _short(value) for name, value in bundle.provenance.items()}
    return {name: value for name, value in facts.items() if value is not None}


def _parameters(bundle: Bundle) -> str | None:
    count = 0
    for part in bundle.parts:
        if part.weights is None:
            return None
        with safe_open(bundle.path(part.weights), framework="np") as file:
            # How often a normalisation was updated is no weight.
            names = [name for name in file.keys() if not name.endswith("num_batches_tracked")]  # noqa: SIM118
            count += sum(int(np.prod(file.get_slice(name).get_shape())) for name in names)
    return f"{count:,} numbers in the weights"


def _expected(bundle: Bundle) -> str:
    """Of which classes the model says how good its masks are."""
    models = {name: ExpectedDice.from_dict(fields) for name, fields in bundle.quality.items()}
    parts = [
        f"{name}: {'with interval' if model.margin is not None else 'without interval'}, from {model.patients} patients"
        for name, model in models.items()
    ]
    return "; ".join(parts) or "unknown to this model"


def _bytes(bundle: Bundle, name: str) -> int:
    return bundle.path(name).stat().st_size


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 200 else text[:199] + "…"


def about_image(image: PixelSource, *, model: str | None = None) -> dict[str, object]:
    """Facts about an image; only its size and geometry, never its header's names."""
    corner = image.read(tuple(slice(0, 1) for _ in image.shape))
    count = image.channels * int(np.prod([int(n) for n in image.shape])) * corner.dtype.itemsize
    facts: dict[str, object] = {
        "Kind": "volume" if image.dims == 3 else "picture",
        "Size": f"{size_text(image.shape)} {'voxels' if image.dims == 3 else 'pixels'}",
        "Channels": str(image.channels),
        "Values": f"{corner.dtype}, {size(count)} when decoded",
        "Spacing": _spacing(image.geometry.spacing),
    }
    pixels = getattr(image, "pixels", None)
    if pixels is not None:
        facts["Range"] = f"{pixels.min():g} to {pixels.max():g}, mean {pixels.mean():.4g}"
    else:
        facts["Range"] = "not measured: too large to be decoded as a whole"
    if image.geometry.affine is not None:
        codes = nib.orientations.aff2axcodes(image.geometry.affine)  # type: ignore[no-untyped-call]
        facts["Orientation"] = "".join(reversed([str(code) for code in codes])) + " (array axes)"
    if model is not None:
        facts |= _seen(image, read_bundle(model))
    return facts


def _spacing(spacing: tuple[float, ...] | None) -> str:
    if spacing is None:
        return "unknown: distances are measured in pixels"
    return " x ".join(f"{step:g}" for step in reversed(spacing)) + " mm"


def _seen(image: PixelSource, bundle: Bundle) -> dict[str, object]:
    """What a model would see of the image."""
    prepared = bundle.preprocessing.prepare(image)
    facts: dict[str, object] = {
        "Model": bundle.name,
        "Seen at": f"{size_text(prepared.shape)} pixels, {prepared.scale:.3g} times the image",
        "Seen channels": ", ".join(bundle.preprocessing.channels),
    }
    if prepared.field_of_view is not None:
        facts["Field of view"] = f"diameter {prepared.field_of_view.diameter * prepared.block:.0f} pixels"
    return facts


def about_dataset(path: Path) -> dict[str, object]:
    """Facts about a dataset; its images are not opened."""
    dataset = open_dataset(path)
    splits = Counter(case.split for case in dataset.cases)
    facts: dict[str, object] = {
        "Dataset": dataset.name or dataset.root.resolve().name,
        "Modality": dataset.modality or "not stated",
        "Licence": dataset.licence or "not stated",
        "Classes": ", ".join(
            f"{name} = {value}" for name, value in zip(dataset.classes.names, dataset.classes.values, strict=True)
        ),
        "Channels": ", ".join(dataset.channels) or "as in the files",
        "Images": f"{len(dataset.cases)} with masks, {len(dataset.unlabelled)} without",
        "Patients": str(len({case.patient for case in dataset.cases})),
        "Splits": ", ".join(f"{split} {splits[split]}" for split in SPLITS if splits[split]) or "none",
    }
    if dataset.notes:
        facts["Inferred"] = "\n".join(dataset.notes)
    return facts
