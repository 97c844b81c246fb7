"""From the pixels of a file to what a network sees, the same in training and in use, whole or in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError, UsageError
from leanseg.images.clahe import Clahe
from leanseg.images.field_of_view import FieldOfView, find_field_of_view
from leanseg.images.image import PixelSource
from leanseg.images.resample import Region, Resampling, resample_mask, whole
from leanseg.images.statistics import affine, overview
from leanseg.types import Mask, Pixels

COLOURS = ("red", "green", "blue")
LUMA = (np.float32(0.299), np.float32(0.587), np.float32(0.114))
"""Weights of red, green and blue in grey (ITU-R BT.601)."""
TOLERANCE = 0.05
"""A field of view this close to the wanted diameter stays as it is: resampling would only blur it."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an image before a network sees it; part of every bundle.

    Args:
        channels: what the network sees, out of "red", "green", "blue" and "grey" for pictures (a grey picture serves
            for each of them), or names of one's own, as many as the image has channels.
        field_of_view: "none" (the whole image counts) or "fundus" (the bright disc is found; the rest becomes 0).
        diameter: pixels that the disc of a fundus photograph spans on the network's grid (left as it is within 5 %);
            None keeps the resolution of the file.
        longest: pixels of the longer side of a picture on the network's grid; larger ones shrink, smaller ones stay.
        window: lowest and highest value that count, in the unit of the file; others are clipped.
        clahe: equalises lightness in 8 x 8 tiles (CLAHE on L of LAB), no level weighing more than this multiple of an
            even share, usually 2; None leaves it. For colour photographs of 8 bits.
        normalise: "z-score" (each channel has mean 0 and deviation 1 in the field of view), "percentile" (the 1st and
            99th become 0 and 1) or "none".
        values: of the files that the network learnt from: "bytes" (8 bits, as photographs have), or "any" (16 bits,
            Hounsfield units, fractions): what an exported graph takes. Images of either kind are prepared alike.

    Raises:
        UsageError: the settings contradict each other.

    Example:
        >>> from leanseg.images.image import Image
        >>> grey = Preprocessing(channels=("grey",))
        >>> ready = grey.prepare(Image(np.array([[[1, 3], [3, 1]]], np.uint8)))
        >>> ready.read((slice(0, 1), slice(0, 2))).tolist()
        [[[-1.0, 1.0]]]
    """

    channels: tuple[str, ...] = COLOURS
    field_of_view: Literal["none", "fundus"] = "none"
    diameter: float | None = None
    longest: int | None = None
    window: tuple[float, float] | None = None
    clahe: float | None = None
    normalise: Literal["z-score", "percentile", "none"] = "z-score"
    values: Literal["bytes", "any"] = "bytes"

    def __post_init__(self) -> None:
        if not self.channels:
            raise UsageError("preprocessing needs at least one channel, for example channels = ('grey',)")
        if self.field_of_view not in ("none", "fundus"):
            raise UsageError(f"field_of_view is 'none' or 'fundus', found {self.field_of_view!r}")
        if self.normalise not in ("z-score", "percentile", "none"):
            raise UsageError(f"normalise is 'z-score', 'percentile' or 'none', found {self.normalise!r}")
        if self.values not in ("bytes", "any"):
            raise UsageError(f"values is 'bytes' or 'any', found {self.values!r}")
        if self.diameter is not None and (self.field_of_view != "fundus" or not self.diameter > 0):
            raise UsageError("diameter is a positive number of pixels and needs field_of_view='fundus'")
        if self.longest is not None and (self.diameter is not None or not self.longest > 0):
            raise UsageError("longest is a positive number of pixels and excludes diameter")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise UsageError(f"window is (lowest, highest), found {self.window}")
        if self.clahe is not None and not (self.clahe >= 1 and self.channels == COLOURS and self.window is None):
            found = f"found {self.clahe} with {', '.join(self.channels)} and window {self.window}"
            msg = f"clahe is a number from 1 and needs the channels red, green, blue and no window; {found}"
            raise UsageError(f"{msg}. --clahe 0 leaves lightness as it is.")

    def prepare(self, source: PixelSource) -> Prepared:
        """Look at a whole source once, at low resolution, and be ready to read it in parts.

        Raises:
            InputError: the source has other channels than the network needs, or holds values that are no numbers.
        """
        if self.field_of_view == "fundus" and source.dims != 2:
            raise InputError(_name(source), "expected a fundus photograph (2-D), found a volume; choose another model")
        self.check_channels(source)
        small = overview(source, self.select)
        if not np.isfinite(small.pixels).all():
            raise InputError(_name(source), "holds NaN or infinite pixels; replace them by numbers")
        field = find_field_of_view(small.pixels) if self.field_of_view == "fundus" else None
        valid = np.ones(small.pixels.shape[1:], bool) if field is None else eroded(field)
        equaliser, seen = None, small.pixels
        if self.clahe is not None:
            height, width = source.shape
            equaliser = Clahe.of(seen, shape=(height, width), limit=self.clahe, valid=valid)
            seen = replace(equaliser, shape=(seen.shape[1], seen.shape[2]))(seen, whole(seen.shape[1:]))
        shift, divisor = affine(self.normalise, seen, valid)
        scale = 1.0
        if field is not None and self.diameter is not None:
            scale = self.diameter / (field.diameter * small.block)
            scale = 1.0 if abs(scale - 1) <= TOLERANCE else scale
        if self.longest is not None and source.dims == 2:
            scale = min(1.0, self.longest / max(source.shape))
        return Prepared(
            source=source,
            settings=self,
            scale=scale,
            field_of_view=field,
            block=small.block,
            shift=shift,
            divisor=divisor,
            equaliser=equaliser,
        )

    def check_channels(self, source: PixelSource) -> None:
        """Refuse a source that cannot give the network's channels."""
        named = set(self.channels) <= {*COLOURS, "grey"}
        fits = source.channels in (1, 3) if named else source.channels == len(self.channels)
        if self.clahe is not None and (source.dims != 2 or source.read((slice(0, 1), slice(0, 1))).dtype != np.uint8):
            msg = "expected a picture of 8 bits, which equalising lightness needs. Convert it, or train with --clahe 0."
            raise InputError(_name(source), msg)
        if not fits:
            found = f"{source.channels} channel{'s' * (source.channels != 1)}"
            msg = f"the model needs the channels {', '.join(self.channels)}; found an image with {found}"
            raise InputError(_name(source), msg)

    def select(self, pixels: Pixels) -> NDArray[np.float32]:
        """Channels of the network, clipped to the window: (C, *part) stored pixels to (channels, *part) float32."""
        if set(self.channels) <= {*COLOURS, "grey"}:
            values = np.stack([_channel(pixels, name) for name in self.channels]).astype(np.float32)
        else:
            values = pixels.astype(np.float32)
        return values if self.window is None else np.clip(values, *self.window, out=values)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as written to a bundle's ``config.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """The inverse of :meth:`to_dict`; lists become tuples."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**plain)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A source ready to be read on the network's grid; made by :meth:`Preprocessing.prepare`.

    Args:
        source: the image.
        settings: how it is preprocessed.
        scale: network pixels per source pixel.
        field_of_view: on the low-resolution picture; None when everything counts.
        block: source pixels per low-resolution pixel along each axis.
        shift: (C,) subtracted from each channel.
        divisor: (C,) by which each channel is divided afterwards.
        equaliser: of lightness; None leaves it.
    """

    source: PixelSource
    settings: Preprocessing
    scale: float
    field_of_view: FieldOfView | None
    block: int
    shift: NDArray[np.float32]
    divisor: NDArray[np.float32]
    equaliser: Clahe | None = None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Size of the network's grid, (H, W) or (D, H, W)."""
        return tuple(max(1, round(size * self.scale)) for size in self.source.shape)

    @cached_property
    def resampling(self) -> Resampling:
        """From the source's grid to the network's; label maps take it too (``resample_labels``)."""
        return Resampling(before=self.source.shape, after=self.shape)

    def read(self, region: Region) -> NDArray[np.float32]:
        """Normalised pixels of a part of the network's grid, (C, *region); 0 outside the field of view.

        However the grid is tiled, the parts equal the whole.
        """
        given = self.resampling.needed(region)
        values = self.settings.select(self.source.read(given))
        values = values if self.equaliser is None else self.equaliser(values, given)
        values = self.resampling(values, given=given, wanted=region)
        column = (-1, *[1] * len(region))
        values = (values - self.shift.reshape(column)) / self.divisor.reshape(column)
        if self.field_of_view is not None:
            values *= self.valid(region)
        return values

    def valid(self, region: Region) -> Mask:
        """The field of view on a part of the network's grid."""
        return self._field(region, self.shape)

    def field(self, region: Region) -> Mask:
        """The field of view on a part of the source's grid."""
        return self._field(region, self.source.shape)

    def to_source(
        self, values: NDArray[np.float32], *, given: Region | None = None, wanted: Region | None = None
    ) -> NDArray[np.float32]:
        """Bring maps, for instance probabilities, from the network's grid to the source's.

        Args:
            values: (K, *given) on the network's grid.
            given: where they lie; by default everywhere.
            wanted: the part of the source's grid to make, by default all; it needs at least
                ``prepared.resampling.inverse.needed(wanted)``.
        """
        return self.resampling.inverse(values, given=given, wanted=wanted)

    def _field(self, region: Region, shape: tuple[int, ...]) -> Mask:
        if self.field_of_view is None:
            return np.ones([part.stop - part.start for part in region], bool)
        mask = self.field_of_view.mask
        ratios = tuple(size / after / self.block for size, after in zip(self.source.shape, shape, strict=True))
        grid = Resampling(before=mask.shape, after=shape, ratios=ratios)
        given = grid.needed(region)
        return resample_mask(mask[given], grid, given=given, wanted=region)


def eroded(field: FieldOfView) -> Mask:
    """The field without its rim, a hundredth of the diameter, where the frame bleeds into the pixels."""
    size = 2 * max(1, round(0.01 * field.diameter)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inner: Mask = cv2.erode(field.mask.astype(np.uint8), disc, borderType=cv2.BORDER_REPLICATE) > 0
    return inner if inner.any() else field.mask


def _channel(pixels: Pixels, name: str) -> Pixels:
    index = 0 if pixels.shape[0] == 1 else COLOURS.index(name) if name != "grey" else None
    plane: Pixels = pixels[index] if index is not None else sum(p * w for p, w in zip(pixels, LUMA, strict=True))
    return plane


def _name(source: PixelSource) -> str:
    return str(source.source) if source.source is not None else source.stem
