"""Pictures that show at a glance what was segmented and where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from leanseg.errors import UsageError
from leanseg.images.image import PixelSource
from leanseg.report.thumbnail import LONGEST, best_slice, coverage, picture
from leanseg.types import Classes, Labels, Mask

# Of all triples of Okabe and Ito's colours this one stays furthest apart (33 in CIELAB) with any colour vision.
CORRECT, EXTRA, MISSED = "#56B4E9", "#F0E442", "#D55E00"
WRONG_CLASS = "#FFFFFF"
SMALL = 50  # shown pixels; a line inside anything smaller would cover most of it
LEGEND = ((CORRECT, "correct"), (EXTRA, "too much (false positive)"), (MISSED, "missed (false negative)"))

Rgb = NDArray[np.uint8]
"""(H, W, 3) colours."""


def overlay(
    image: PixelSource,
    labels: Labels,
    classes: Classes,
    *,
    valid: Mask | None = None,
    legend: bool = True,
    longest: int = LONGEST,
) -> Rgb:
    """Thin outlines and a light fill over the image; of a volume, the slice with the most foreground.

    What is only a few shown pixels large gets a ring around it, so that it can be found and still be seen.

    Args:
        image: the image, in memory or read from disk.
        labels: class numbers of the image's size, (K, *spatial) where classes overlap.
        classes: names and colours.
        valid: (H, W) or (D, H, W), True where scores count; the rest is shown dark.
        legend: where there are several classes, add a strip below the picture that names their colours.
        longest: longest side of the picture in pixels.

    Raises:
        UsageError: labels and image differ in size.

    Example:
        >>> from leanseg.images.image import Image
        >>> lesion = np.zeros((40, 40), np.uint8); lesion[10:30, 10:30] = 1
        >>> overlay(Image(np.zeros((3, 40, 40), np.uint8)), lesion, Classes(names=("lesion",))).shape
        (40, 40, 3)
    """
    index = _slice_to_show(image, labels, classes)
    shown = _dim(picture(image, index=index, longest=longest), valid, index, longest)
    shares = [coverage(mask, longest) for mask in _planes(labels, classes, index)]
    outlines = [_outline(share) for share in shares]
    for share, colour in zip(shares, classes.colours, strict=True):
        shown = _tint(shown, share, colour, strength=0.15)
    # All shadows come before all lines: one class's shadow must not darken another's line.
    for _, shadow in outlines:
        shown = _tint(shown, shadow, "#000000", strength=0.3)
    for (line, _), colour in zip(outlines, classes.colours, strict=True):
        shown = _tint(shown, line, colour, strength=0.95)
    names = list(zip(classes.colours, classes.names, strict=True))
    return _with_legend(shown, names) if legend and len(names) > 1 else shown


def error_overlay(
    image: PixelSource,
    truth: Labels,
    prediction: Labels,
    *,
    classes: Classes,
    valid: Mask | None = None,
    legend: bool = True,
    longest: int = LONGEST,
) -> Rgb:
    """Correct, superfluous and missed pixels in colours that any reader can tell apart, over the image in grey.

    Pixels where truth and prediction name different classes are white.

    Args:
        image: the image, in memory or read from disk.
        truth: class numbers drawn by a person, of the image's size, (K, *spatial) where classes overlap.
        prediction: class numbers to judge, of the same shape.
        classes: what the labels mean.
        valid: (H, W) or (D, H, W), True where scores count; the rest is shown dark and without errors.
        legend: add a strip below the picture that explains the colours.
        longest: longest side of the picture in pixels.

    Raises:
        UsageError: truth, prediction and image differ in size.
    """
    if truth.shape != prediction.shape:
        raise UsageError(f"truth {truth.shape} and prediction {prediction.shape} must have the same shape")
    index = _slice_to_show(image, np.maximum(truth, prediction), classes)
    shown = _dim(_faded(picture(image, index=index, longest=longest)), valid, index, longest)
    pairs = zip(_planes(truth, classes, index), _planes(prediction, classes, index), strict=True)
    kinds = _errors(list(pairs))
    if valid is not None:
        kinds = [kind & _plane(valid, index) for kind in kinds]
    shares = [coverage(kind, longest) for kind in kinds]
    for share, colour in zip(shares, (CORRECT, EXTRA, MISSED, WRONG_CLASS), strict=True):
        shown = _tint(shown, share, colour, strength=0.85)
    entries = (*LEGEND, (WRONG_CLASS, "another class")) if shares[3].any() else LEGEND
    return _with_legend(shown, entries) if legend else shown


def _slice_to_show(image: PixelSource, labels: Labels, classes: Classes) -> int | None:
    spatial = labels.shape[1:] if classes.overlapping else labels.shape
    if spatial != tuple(image.shape):
        raise UsageError(f"labels of size {spatial} do not belong to an image of size {tuple(image.shape)}")
    return best_slice(labels, classes) if image.dims == 3 else None


def _plane(mask: Mask, index: int | None) -> Mask:
    return mask if index is None else mask[index]


def _planes(labels: Labels, classes: Classes, index: int | None) -> list[Mask]:
    masks = list(labels > 0) if classes.overlapping else [labels == k for k in range(1, len(classes.names) + 1)]
    return [_plane(mask, index) for mask in masks]


def _errors(pairs: Sequence[tuple[Mask, Mask]]) -> list[Mask]:
    """Correct, superfluous, missed and confused pixels; every pixel is of one kind at most."""
    true, said = (np.any([pair[side] for pair in pairs], axis=0) for side in (0, 1))
    agree = np.all([a == b for a, b in pairs], axis=0)
    return [true & said & agree, said & ~true, true & ~said, true & said & ~agree]


def _dim(shown: Rgb, valid: Mask | None, index: int | None, longest: int) -> Rgb:
    if valid is None:
        return shown
    light = 0.35 + 0.65 * coverage(_plane(valid, index), longest)
    return (shown * light[..., None]).round().astype(np.uint8)


def _faded(shown: Rgb) -> Rgb:
    faint = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY) * 0.6
    return np.stack([np.asarray(faint, np.uint8)] * 3, axis=-1)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _tint(shown: Rgb, share: NDArray[np.float32], colour: str, *, strength: float) -> Rgb:
    weight = (share * strength)[..., None]
    mixed = shown * (1 - weight) + weight * np.array(_rgb(colour))
    return np.asarray(mixed.round(), np.uint8)


def _outline(share: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A line just inside a faint dark one, readable on bright and on dark tissue: where each of them lies."""
    inside, small = _pieces(share)
    around = cv2.dilate(small.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))) > 0
    line, halo = (np.zeros(share.shape, np.uint8) for _ in range(2))
    for mask in (inside & ~small, around):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(line, contours, -1, 1, 1)
        cv2.drawContours(halo, contours, -1, 1, 3)
    shadow = (halo > 0) & ~inside & ~around
    return line.astype(np.float32), shadow.astype(np.float32)


def _pieces(share: NDArray[np.float32]) -> tuple[Mask, Mask]:
    """What is drawn as inside, and which of it belongs to pieces too small for a line inside them."""
    count, found = cv2.connectedComponents((share > 0).astype(np.uint8))
    pieces = np.asarray(found, np.intp)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, pieces.ravel(), share.ravel())
    # Half coverage is the border; of a piece thinner than a shown pixel, two thirds of the most that it covers.
    inside: Mask = (share >= np.minimum(0.5, peaks * 0.66)[pieces]) & (share > 0)
    sizes = np.bincount(pieces[inside], minlength=count)
    return inside, inside & (sizes < SMALL)[pieces]


def _with_legend(shown: Rgb, entries: Sequence[tuple[str, str]]) -> Rgb:
    """The picture above a strip of coloured squares and words, in as many rows as they need."""
    font = ImageFont.load_default(14)
    widths = [int(font.getlength(text)) + 40 for _, text in entries]
    width, row = max(shown.shape[1], *widths), 26
    places = [(0, 0)]
    for taken, needed in pairwise(widths):
        left, line = places[-1]
        fits = left + taken + needed <= width
        places.append((left + taken, line) if fits else (0, line + 1))
    sheet = Pillow.new("RGB", (width, shown.shape[0] + row * (places[-1][1] + 1)), "#16181c")
    sheet.paste(Pillow.fromarray(shown), ((width - shown.shape[1]) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for (left, line), (colour, text) in zip(places, entries, strict=True):
        top = shown.shape[0] + row * line
        draw.rectangle((left + 10, top + 7, left + 22, top + 19), fill=colour)
        draw.text((left + 29, top + row / 2), text, fill="#f2f2f2", font=font, anchor="lm")
    return np.asarray(sheet)
