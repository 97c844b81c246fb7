"""What a training will do and why, decided from a look at the data and printed before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from leanseg.data.dataset import Case, Dataset
from leanseg.errors import UsageError
from leanseg.images.preprocess import COLOURS, Preprocessing
from leanseg.report.contents import Decision

if TYPE_CHECKING:
    from leanseg.methods.segmenter import Optimiser

LOOKED_AT = 8
THICK = 0.04
"""Objects whose inscribed circle has a radius above this share of the image's short side survive shrinking."""
LONGEST = 320
THIN_CROP = 128
SMALL_SHARE = 0.005
VARIED = {"gain": 0.2, "offset": 0.2, "gamma": 0.3}
"""Grey values of volumes: with three labelled patients of ACDC this raised the validation Dice from 0.36 to 0.56."""
LEARNING_RATES = {"muon": 5e-2, "adamw": 2e-2}


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a look at some training images showed.

    Args:
        sides: median (H, W), or (D, H, W), in pixels.
        channels: of the images.
        share: median share of foreground pixels.
        thickness: median radius of the largest circle inside the foreground, over the short side.
        bytes: whether all of them have values of 8 bits.
    """

    sides: tuple[int, ...]
    channels: int
    share: float
    thickness: float
    bytes: bool = True


def survey(dataset: Dataset, cases: Sequence[Case]) -> Survey:
    """Look at a few images, spread over the list.

    Raises:
        InputError: one of them cannot be used.
    """
    chosen = [cases[i] for i in np.unique(np.linspace(0, len(cases) - 1, LOOKED_AT).round().astype(int))]
    shapes, shares, radii, channels, kinds = [], [], [], set(), set()
    for case in chosen:
        image = dataset.read_image(case)
        labels = dataset.read_labels(case, image=image)
        foreground = labels.any(0) if dataset.classes.overlapping else labels > 0
        shapes.append(image.shape)
        channels.add(image.channels)
        kinds.add(image.pixels.dtype)
        shares.append(float(foreground.mean()))
        radii.append(_radius(foreground) / min(image.shape[-2:]))
    if len({len(shape) for shape in shapes}) > 1:
        raise UsageError("the data set mixes pictures and volumes; put them into data sets of their own")
    sides = tuple(int(n) for n in np.median(np.array(shapes), axis=0))
    return Survey(
        sides=sides,
        channels=max(channels),
        share=float(np.median(shares)),
        thickness=float(np.median(radii)),
        bytes=kinds == {np.dtype(np.uint8)},
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
    clahe: float | None = None
    crop: int | None = None
    batch: int | None = None
    epochs: int | None = None
    epoch_steps: int | None = None
    optimiser: Optimiser | None = None
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
        window: side of the windows in which the network sees larger images in use; None shows it the whole.
        batch: crops in a step.
        one_image: whether all crops of a step come from one image.
        epochs: number of epochs.
        epoch_steps: steps in an epoch.
        optimiser: of the weights.
        learning_rate: its peak.
        foreground: share of crops centred on the foreground.
        precision: of Lightning, "32-true" or "bf16-mixed".
        appearance: arguments of :class:`~leanseg.loading.augment.Augmentation` that differ from its own.
        decisions: the same with reasons, for people.
        net: registered name of the network, or ``package.module:Class``.
        keywords: its constructor's keywords.
    """

    preprocessing: Preprocessing
    crop: int
    window: int | None
    batch: int
    one_image: bool
    epochs: int
    epoch_steps: int
    optimiser: Optimiser
    learning_rate: float
    foreground: float
    precision: str
    appearance: Mapping[str, float]
    decisions: tuple[Decision, ...]
    net: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)


class _Decisions:
    """Takes the wish of the user, or else a choice, and keeps what was decided and why."""

    def __init__(self) -> None:
        self.taken: list[Decision] = []

    def decide(self, name: str, wish: Any, choice: Any, why: str) -> Any:
        value = choice if wish is None else wish
        self.taken.append(Decision(name=name, value=value, why=why if wish is None else "asked for"))
        return value


def make_plan(
    dataset: Dataset,
    seen: Survey,
    wishes: Wishes,
    *,
    dims: int,
    divisor: int,
    halo: int | None,
    bf16: bool,
    clahe: float | None = None,
) -> Plan:
    """Decide what the user left open.

    Args:
        dataset: its modality counts.
        seen: from :func:`survey`.
        wishes: decisions of the user, which stand.
        dims: of the network; one of 2 sees volumes slice by slice.
        divisor: of the network; crops are multiples of it.
        halo: of the network; None for one that looks at the whole of what it is shown.
        bf16: whether device and network gain from 16-bit arithmetic.
        clahe: clip limit of equalised lightness that suits the method.
    """
    log = _Decisions()
    preprocessing = _preprocessing(dataset, seen, wishes, log, clahe)
    crops = _crops(seen, wishes, log, longest=preprocessing.longest, divisor=divisor, dims=dims)
    window = crops["crop"] if halo is None and _far_smaller(crops["crop"], seen, preprocessing, dims) else None
    if window is not None:
        log.decide("windows", None, window, "the network looks at all it is shown, and learns from such crops")
    optimiser: Optimiser = log.decide("optimiser", wishes.optimiser, "muon", "learns small networks in fewer steps")
    rate = LEARNING_RATES[optimiser]
    bits = "device and network gain from bf16" if bf16 else "bf16 brings nothing to this network here"
    scan = len(seen.sides) == 3
    why = "scans of the same organ differ in brightness and contrast" if scan else "colours tell much in pictures"
    kept = log.decide("grey values", None, "varied" if scan else "nearly kept", f"{why}; see --augment")
    return Plan(
        preprocessing=preprocessing,
        **crops,
        window=window,
        appearance=VARIED if kept == "varied" else {},
        epochs=log.decide("epochs", wishes.epochs, 20, "a default that suits tens of images"),
        epoch_steps=log.decide("steps in an epoch", wishes.epoch_steps, 200, "validation takes a small share of time"),
        optimiser=optimiser,
        learning_rate=log.decide("learning rate", wishes.learning_rate, rate, f"peak that suits {optimiser}"),
        precision=log.decide("precision", wishes.precision, "bf16-mixed" if bf16 else "32-true", bits),
        decisions=tuple(log.taken),
    )


def _preprocessing(
    dataset: Dataset, seen: Survey, wishes: Wishes, log: _Decisions, clahe: float | None
) -> Preprocessing:
    fundus = "fundus" in dataset.modality.lower()
    frame = "the data set says fundus: the dark frame must not count" if fundus else "no frame to leave out"
    view = log.decide("field of view", wishes.field_of_view, "fundus" if fundus else "none", frame)
    thick = len(seen.sides) == 2 and seen.thickness > THICK
    shrink = thick and wishes.diameter is None and max(seen.sides) > LONGEST
    size = "thin or small structures vanish in smaller images"
    if shrink:
        size = f"objects are large ({seen.thickness:.0%} of the short side): smaller images train faster"
    elif len(seen.sides) > 2:
        size = "volumes keep their resolution"
    elif thick:
        size = "images are small already" if wishes.diameter is None else "the diameter says how large images are"
    channels = _channels(dataset, seen)
    if clahe is not None:
        photographs = channels == COLOURS and seen.bytes
        why = "suits the method" if photographs else "suits the method, but only colour photographs of 8 bits have it"
        clahe = log.decide("equalised lightness", wishes.clahe, clahe if photographs else 0.0, why)
    return Preprocessing(
        channels=channels,
        field_of_view=view,
        longest=log.decide("longest side", wishes.longest, LONGEST if shrink else None, size),
        clahe=(wishes.clahe if clahe is None else clahe) or None,
        diameter=log.decide("diameter", wishes.diameter, None, "keep the resolution of the files"),
        values="bytes" if seen.bytes else "any",
    )


def _crops(
    seen: Survey, wishes: Wishes, log: _Decisions, *, longest: int | None, divisor: int, dims: int
) -> dict[str, Any]:
    """Size and number of the crops, and from where they are taken."""
    crop, batch = _crop_size(seen, longest, divisor, dims)
    crop = log.decide("crop", wishes.crop, crop, "whole images" if longest else "small crops of large images")
    mixed = "batch normalisation learns from what images have in common"
    small = 0.5 if seen.share < SMALL_SHARE else 0.0
    return {
        "crop": -(-crop // divisor) * divisor,
        "batch": log.decide("batch", wishes.batch, batch, f"{batch * crop**dims:,} pixels a step"),
        "one_image": log.decide("one image a step", wishes.one_image, False, mixed),
        "foreground": log.decide(
            "foreground crops", wishes.foreground, small, f"{seen.share:.2%} of the pixels are foreground"
        ),
    }


def _far_smaller(crop: int, seen: Survey, preprocessing: Preprocessing, dims: int) -> bool:
    """Whether a crop covers less than half of a picture."""
    longest = preprocessing.longest or preprocessing.diameter or max(seen.sides)
    scale = longest / max(seen.sides)
    return dims == 2 and 2 * crop**2 < scale**2 * seen.sides[-1] * seen.sides[-2]


def _channels(dataset: Dataset, seen: Survey) -> tuple[str, ...]:
    if dataset.channels:
        return dataset.channels
    named = {1: ("grey",), 3: COLOURS}
    return named.get(seen.channels, tuple(f"channel {n + 1}" for n in range(seen.channels)))


def _crop_size(seen: Survey, longest: int | None, divisor: int, dims: int) -> tuple[int, int]:
    if dims == 3:
        side = max(divisor, min(48, *seen.sides) // divisor * divisor)
        return side, 2
    if longest:
        side = round(longest * min(1.0, 1.1 * min(seen.sides) / max(seen.sides)))
        return side, max(2, round(65_536 / side**2 * 4))
    side = min(THIN_CROP, max(seen.sides[-2:]))
    return side, max(2, round(65_536 / side**2))
