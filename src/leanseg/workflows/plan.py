"""What a training will do and why, decided from a look at the data and printed before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from leanseg.data.dataset import Case, Dataset
from leanseg.errors import UsageError
from leanseg.images.preprocess import COLOURS, Preprocessing
from leanseg.report.contents import Decision

LOOKED_AT = 8
THICK = 0.04
"""Objects whose inscribed circle has a radius above this share of the image's short side survive shrinking."""
LONGEST = 320
THIN_CROP = 128
SMALL_SHARE = 0.005


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a look at some training images showed.

    Args:
        sides: median (H, W), or (D, H, W), in pixels.
        channels: of the images.
        share: median share of foreground pixels.
        thickness: median radius of the largest circle inside the foreground, over the short side.
    """

    sides: tuple[int, ...]
    channels: int
    share: float
    thickness: float


def survey(dataset: Dataset, cases: Sequence[Case]) -> Survey:
    """Look at a few images, spread over the list.

    Raises:
        InputError: one of them cannot be used.
    """
    chosen = [cases[i] for i in np.unique(np.linspace(0, len(cases) - 1, LOOKED_AT).round().astype(int))]
    shapes, shares, radii, channels = [], [], [], set()
    for case in chosen:
        image = dataset.read_image(case)
        labels = dataset.read_labels(case, shape=image.shape)
        foreground = labels.any(0) if dataset.classes.overlapping else labels > 0
        shapes.append(image.shape)
        channels.add(image.channels)
        shares.append(float(foreground.mean()))
        radii.append(_radius(foreground) / min(image.shape[-2:]))
    if len({len(shape) for shape in shapes}) > 1:
        raise UsageError("the data set mixes pictures and volumes; put them into data sets of their own")
    sides = tuple(int(n) for n in np.median(np.array(shapes), axis=0))
    return Survey(
        sides=sides, channels=max(channels), share=float(np.median(shares)), thickness=float(np.median(radii))
    )


def _radius(foreground: Any) -> float:
    """Radius in pixels of the largest circle inside the foreground, in the fullest slice of a volume."""
    while foreground.ndim > 2:
        foreground = foreground[int(foreground.reshape(len(foreground), -1).sum(1).argmax())]
    return float(cv2.distanceTransform(foreground.astype(np.uint8), cv2.DIST_L2, 3).max())


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user decided; None leaves it to the plan."""

    field_of_view: str | None = None
    diameter: float | None = None
    longest: int | None = None
    crop: int | None = None
    batch: int | None = None
    epochs: int | None = None
    epoch_steps: int | None = None
    learning_rate: float | None = None
    one_image: bool | None = None
    foreground: float | None = None
    precision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The decisions of a training.

    Args:
        preprocessing: from file pixels to what the network sees.
        crop: side of a crop in pixels.
        batch: crops in a step.
        one_image: whether all crops of a step come from one image.
        epochs: number of epochs.
        epoch_steps: steps in an epoch.
        learning_rate: its peak.
        foreground: share of crops centred on the foreground.
        precision: of Lightning, "32-true" or "bf16-mixed".
        decisions: the same with reasons, for people.
        net: registered name of the network, or ``package.module:Class``.
        keywords: its constructor's keywords.
    """

    preprocessing: Preprocessing
    crop: int
    batch: int
    one_image: bool
    epochs: int
    epoch_steps: int
    learning_rate: float
    foreground: float
    precision: str
    decisions: tuple[Decision, ...]
    net: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)


def make_plan(dataset: Dataset, seen: Survey, wishes: Wishes, *, divisor: int, bf16: bool) -> Plan:
    """Decide what the user left open.

    Args:
        dataset: its modality counts.
        seen: from :func:`survey`.
        wishes: decisions of the user, which stand.
        divisor: of the network; crops are multiples of it.
        bf16: whether device and network gain from 16-bit arithmetic.
    """
    notes: list[Decision] = []

    def decide(name: str, wish: Any, choice: Any, why: str) -> Any:
        value = choice if wish is None else wish
        notes.append(Decision(name=name, value=value, why=why if wish is None else "asked for"))
        return value

    fundus = "fundus" in dataset.modality.lower()
    view = decide(
        "field of view",
        wishes.field_of_view,
        "fundus" if fundus else "none",
        "the data set says fundus: the dark frame must not count" if fundus else "no frame to leave out",
    )
    flat = len(seen.sides) == 2
    thick = flat and seen.thickness > THICK
    longest = decide(
        "longest side",
        wishes.longest,
        LONGEST if thick and wishes.diameter is None and max(seen.sides) > LONGEST else None,
        f"objects are large ({seen.thickness:.0%} of the short side): smaller images train faster"
        if thick
        else "thin or small structures vanish in smaller images",
    )
    preprocessing = Preprocessing(
        channels=_channels(dataset, seen),
        field_of_view=view,
        diameter=decide("diameter", wishes.diameter, None, "keep the resolution of the files"),
        longest=longest,
    )
    crop, batch = _crop_size(seen, longest, divisor)
    crop = decide("crop", wishes.crop, crop, "whole images" if longest else "small crops of many images in each step")
    batch = decide("batch", wishes.batch, batch, "about 65,000 pixels a step")
    small = seen.share < SMALL_SHARE
    return Plan(
        preprocessing=preprocessing,
        crop=-(-crop // divisor) * divisor,
        batch=batch,
        one_image=decide(
            "steps of one image",
            wishes.one_image,
            flat and longest is None,
            "batch normalisation learns to cope with single images" if flat and longest is None else "few crops each",
        ),
        epochs=decide("epochs", wishes.epochs, 20, "a default that suits tens of images"),
        epoch_steps=decide("steps in an epoch", wishes.epoch_steps, 200, "validation takes a small share of the time"),
        learning_rate=decide("learning rate", wishes.learning_rate, 5e-2, "peak of one rise and fall"),
        foreground=decide(
            "foreground crops",
            wishes.foreground,
            0.5 if small else 0.0,
            f"{seen.share:.2%} of the pixels are foreground",
        ),
        precision=decide(
            "precision",
            wishes.precision,
            "bf16-mixed" if bf16 else "32-true",
            "device and network gain from bf16" if bf16 else "bf16 brings nothing to this network here",
        ),
        decisions=tuple(notes),
    )


def _channels(dataset: Dataset, seen: Survey) -> tuple[str, ...]:
    if dataset.channels:
        return dataset.channels
    named = {1: ("grey",), 3: COLOURS}
    return named.get(seen.channels, tuple(f"channel {n + 1}" for n in range(seen.channels)))


def _crop_size(seen: Survey, longest: int | None, divisor: int) -> tuple[int, int]:
    if len(seen.sides) == 3:
        side = max(divisor, min(48, *seen.sides) // divisor * divisor)
        return side, 2
    if longest:
        side = round(longest * min(1.0, 1.1 * min(seen.sides) / max(seen.sides)))
        return side, max(2, round(65_536 / side**2 * 4))
    side = min(THIN_CROP, max(seen.sides))
    return side, max(2, round(65_536 / side**2))
