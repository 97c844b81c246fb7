"""The sets of ``quality.py``: where a model is trained, which other sources it meets, how images are spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import complete_splits, write_splits
from leanseg.images.image import Image
from small_sets import Shown, jsrt, write_set

SMALL: dict[str, Any] = {"epochs": 10, "threads": 1, "precision": "32-true", "crop": 128, "batch": 5}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One kind of image.

    Args:
        prepare: writes the data folder, with its splits, from the downloads.
        others: public sets of the same kind from elsewhere: name -> folder below the downloads.
        options: of the training.
        grid: of the reverse segmenter, in pixels.
    """

    prepare: Callable[[Path, Path], None]
    others: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: int = 64


def public(name: str, folder: str) -> Callable[[Path, Path], None]:
    """A public set with the split that a data set without one gets."""

    def prepare(downloads: Path, out: Path) -> None:
        public_set(name).convert(downloads / folder, out)
        write_splits(complete_splits(open_dataset(out).cases, seed=0), out / "splits.csv")

    return prepare


def chest(downloads: Path, out: Path) -> None:
    """Lungs and hearts at 128 pixels."""
    write_set(jsrt(downloads / "JSRT_246_128px", out), out, names=("lungs", "heart"))


def nuclei(downloads: Path, out: Path) -> None:
    """Nuclei of all kinds, whose instances become one class; a fifth each for validation and test."""
    folder = downloads / "DSB2018_nuclei"

    def shown() -> Iterator[Shown]:
        for number, path in enumerate(sorted((folder / "images").iterdir())):
            mask = cv2.imread(str(folder / "masks" / path.name), cv2.IMREAD_UNCHANGED)
            split = ("train", "val", "train", "test", "train")[number % 5]
            yield Shown(path.stem, split, cv2.imread(str(path)), (mask > 0).astype(np.uint8))

    write_set(shown(), out, names=("nucleus",))


POLYPS = {"cvc-endoscene": "CVC-EndoSceneStill", "cvc-colondb": "CVC-ColonDB", "cvc-clinicdb": "CVC-ClinicDB"}
SOURCES: dict[str, Source] = {
    "polyps": Source(
        prepare=public("kvasir-seg", "Polyps/Kvasir-SEG"),
        others={name: f"Polyps/{folder}" for name, folder in POLYPS.items()},
        options={**SMALL, "longest": 192},
    ),
    "skin": Source(prepare=public("isic2017", "ISIC2017"), others={"ph2": "PH2_60"}, options={**SMALL, "longest": 192}),
    "chest": Source(prepare=chest, options={**SMALL, "one_image": "True"}),
    "nuclei": Source(prepare=nuclei, options={**SMALL, "longest": 256}, grid=96),
    "vessels": Source(
        prepare=public("drive", "DRIVE"),
        others={"chase-db1": "CHASE_DB1"},
        options={
            "epochs": 6,
            "threads": 1,
            "precision": "32-true",
            "field_of_view": "fundus",
            "folds": 4,
            "one_image": "True",
        },
        grid=128,
    ),
}


def _range(pixels: Any) -> tuple[float, float]:
    return float(pixels.min()), max(float(pixels.max()), float(pixels.min()) + 1)


def _gamma(x: Any) -> Any:
    low, high = _range(x)
    return low + (high - low) * ((x - low) / (high - low)) ** 2.2


def _noise(x: Any) -> Any:
    low, high = _range(x)
    return np.clip(x + 0.12 * (high - low) * np.random.default_rng(0).standard_normal(x.shape), low, high)


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: np.stack([change(np.ascontiguousarray(plane)) for plane in x])


def _blur(plane: Any) -> Any:
    return cv2.blur(plane, (7, 7))


def _jpeg(plane: Any) -> Any:
    return cv2.imdecode(cv2.imencode(".jpg", plane.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 8])[1], 0)


def _coarse(plane: Any) -> Any:
    small = cv2.resize(plane, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _mirrored(x: Any) -> Any:
    low, high = _range(x)
    return low + high - x


SHIFTS: dict[str, Callable[[Any], Any]] = {
    "clean": lambda x: x,
    "gamma 2.2": _gamma,
    "noise 0.12": _noise,
    "blur 7 x 7": _each(_blur),
    "JPEG, quality 8": _each(_jpeg),
    "a third of the resolution": _each(_coarse),
    "negative": _mirrored,
}


def shifted(image: Image, name: str) -> Image:
    """An image as another device might have given it."""
    pixels = SHIFTS[name](image.pixels.astype(np.float32))
    return replace(image, pixels=np.clip(pixels, 0, 255).round().astype(image.pixels.dtype))
