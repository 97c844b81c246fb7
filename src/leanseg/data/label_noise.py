"""Masks made wrong on purpose, the way hasty annotators do it, to measure how training bears it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import copysign, cos, pi, radians, sin
from random import Random

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, find_objects, label

from leanseg.errors import UsageError
from leanseg.types import Labels, Mask

KINDS = ("dilate", "erode", "move")
LARGEST_TURN = 30
"""Of a moved object, in degrees."""
SIDES = (5, 20)
"""In pixels: objects below the first square (or cube) keep their margin; from the second on it errs twice as far."""
REPEATS = 3
REACH = len(SIDES) * REPEATS
"""How far a margin can err, in pixels."""


@dataclass(frozen=True, eq=False)
class Corruption:
    """A mask with errors, and what was done to it.

    Args:
        labels: class numbers, the shape and type of the mask that was given.
        kind: "dilate", "erode", "move" or "objects"; "none" where nothing changed.
        change: pixels whose class changed, as a share of the foreground there was.
    """

    labels: Labels
    kind: str
    change: float


def corrupt_mask(
    labels: Labels, *, stem: str, seed: int, share: float, amount: float, kinds: Sequence[str] = KINDS
) -> Corruption:
    """Make contours too wide or too tight, or move objects, in a share of all images.

    One kind is drawn for the image and applied to every class until ``amount`` is reached as nearly as one step allows:
    steps of a pixel for "dilate" and "erode"; for "move" degrees about the centroid up to an angle in [-30, 30], then
    pixels in one direction, in the plane of the last two axes. Erosion leaves at least one pixel and a move half of the
    class, but a later class may cover an earlier one. The same stem and seed give the same draws on every machine,
    whatever ``share`` and ``amount`` are: an image that is wrong at a share of 0.3 is wrong in the same way at 0.5.

    Args:
        labels: class numbers (H, W) or (D, H, W), 0 for the background; where results overlap, the later class wins.
        stem: name of the image.
        seed: another seed gives other errors.
        share: chance that this image has errors at all, in [0, 1].
        amount: pixels to change, as a share of the pixels of each class.
        kinds: the kinds to draw from.

    Raises:
        UsageError: a number, a kind or the shape does not fit.

    Example:
        >>> square = np.zeros((16, 16), np.uint8)
        >>> square[4:12, 4:12] = 1
        >>> found = corrupt_mask(square, stem="a", seed=0, share=1.0, amount=0.4, kinds=("erode",))
        >>> found.kind, found.change, int(found.labels.sum())
        ('erode', 0.4375, 36)
    """
    _check(labels, share=share)
    if not kinds or not set(kinds) <= set(KINDS) or not amount >= 0:
        raise UsageError(f"give an amount >= 0 and kinds from {KINDS}, found {amount} and {tuple(kinds)}")
    random = _random(seed, stem)
    spared = random.random() >= share
    kind = _pick(random, kinds)
    noisy = np.zeros_like(labels)
    for number in _classes(labels):
        mask = labels == number
        iterates = _iterates(kind, mask, _random(seed, f"{stem}/{number}"))
        noisy[mask if spared else _nearest(iterates, mask, amount)] = number
    return _corruption(labels, noisy, kind)


def corrupt_objects(
    labels: Labels,
    *,
    stem: str,
    seed: int,
    remove: float,
    add: float,
    margin: float,
    donor: Labels | None = None,
) -> Corruption:
    """Forget objects, add some that are not there, and err at the margins of others.

    An object is a connected piece (faces touch). Its margin moves in or out by 1 to 3 steps of a pixel, or of two for
    large objects; small objects keep theirs and none vanishes by it. Each object of the donor is pasted with the chance
    ``add`` at a random place, whole. The same stem and seed give the same errors on every machine.

    Args:
        labels: class numbers (H, W) or (D, H, W), 0 for the background; where results overlap, the later class wins.
        stem: name of the image.
        seed: another seed gives other errors.
        remove: chance of each object to be forgotten.
        add: chance of each object of the donor to be pasted.
        margin: chance of each object that is left to have a wrong margin.
        donor: class numbers of another image, as many axes.

    Raises:
        UsageError: a number or a shape does not fit, or there is nothing to add objects from.

    Example:
        >>> two = np.zeros((16, 16), np.uint8)
        >>> two[2:6, 2:6] = two[9:14, 9:14] = 1
        >>> found = corrupt_objects(two, stem="a", seed=0, remove=0.5, add=0.0, margin=0.0)
        >>> int(two.sum()), int(found.labels.sum()), round(found.change, 2)
        (41, 16, 0.61)
    """
    _check(labels, remove=remove, add=add, margin=margin)
    if add > 0 and (donor is None or donor.ndim != labels.ndim):
        raise UsageError(f"objects are added from a donor of {labels.ndim} axes; give the labels of another image")
    random = _random(seed, stem)
    others = np.zeros_like(labels) if donor is None else donor
    noisy = np.zeros_like(labels)
    for number in sorted({*_classes(labels), *_classes(others)}):
        for window, piece in _objects(labels == number):
            forgotten, wrong = random.random() < remove, random.random() < margin
            shape = _with_margin_error(piece, random) if wrong else piece
            if not forgotten:
                noisy[window][shape] = number
        for _, piece in _objects(others == number, padding=0):
            if random.random() < add:
                _paste(noisy, piece, number, random)
    return _corruption(labels, noisy, "objects")


def _check(labels: Labels, **chances: float) -> None:
    if labels.ndim not in (2, 3):
        raise UsageError(f"labels must be (H, W) or (D, H, W), found {labels.shape}; corrupt one mask at a time")
    for name, chance in chances.items():
        if not 0 <= chance <= 1:
            raise UsageError(f"{name} is a chance and must lie in [0, 1], found {chance}")


def _random(seed: int, stem: str) -> Random:
    """Draws that depend on nothing but the seed and the name; only ``random()`` is the same in every Python."""
    # File systems spell one name in two ways, with composed or with separate accents.
    name = unicodedata.normalize("NFC", stem)
    return Random(int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big"))


def _pick(random: Random, choices: Sequence[str]) -> str:
    return choices[int(random.random() * len(choices))]


def _classes(labels: Labels) -> list[int]:
    return [int(number) for number in np.unique(labels) if number]


def _corruption(labels: Labels, noisy: Labels, kind: str) -> Corruption:
    changed = int(np.count_nonzero(noisy != labels))
    return Corruption(noisy, kind if changed else "none", changed / max(1, int(np.count_nonzero(labels))))


def _nearest(iterates: Iterable[Mask], mask: Mask, amount: float) -> Mask:
    """The iterate whose change is nearest to the amount, looking no further than the first one beyond it."""
    best, error, size = mask, amount, np.count_nonzero(mask)
    for now in iterates:
        change = np.count_nonzero(now ^ mask) / size
        if abs(change - amount) < error:
            best, error = now, abs(change - amount)
        if change >= amount:
            break
    return best


def _iterates(kind: str, mask: Mask, random: Random) -> Iterator[Mask]:
    return _moved(mask, random) if kind == "move" else _stepped(_STEPS[kind], mask)


def _stepped(step: Callable[[Mask], Mask], mask: Mask) -> Iterator[Mask]:
    """One step after the other, until nothing changes or nothing would be left."""
    while (after := step(mask)).any() and (after != mask).any():
        yield after
        mask = after


def _moved(mask: Mask, random: Random) -> Iterator[Mask]:
    """Turn by one degree after the other, then shift by one pixel after the other, until half has left the image."""
    angle = round(LARGEST_TURN * (2 * random.random() - 1))
    way = 2 * pi * random.random()
    middle = [float(places.mean()) for places in np.nonzero(mask)[-2:]]
    turns = [(copysign(degrees, angle), 0) for degrees in range(1, abs(angle) + 1)]
    for degrees, length in [*turns, *((angle, length) for length in range(1, sum(mask.shape)))]:
        after = _placed(mask, middle, degrees, length * sin(way), length * cos(way))
        if 2 * np.count_nonzero(after) < np.count_nonzero(mask):
            return
        yield after


def _placed(mask: Mask, middle: Sequence[float], degrees: float, down: float, right: float) -> Mask:
    """A mask turned about a point and shifted in the plane of its last two axes; nearest pixels."""
    height, width = mask.shape[-2:]
    y, x = np.arange(height)[:, None] - middle[0] - down, np.arange(width) - middle[1] - right
    c, s = cos(radians(degrees)), sin(radians(degrees))
    # OpenCV's warps differ between versions, and masks must not.
    rows, columns = np.rint(c * y + (s * x + middle[0])), np.rint(c * x + (middle[1] - s * y))
    # All places outside become -1 or the size: both are the margin, which is nowhere true.
    rows, columns = rows.clip(-1, height).astype(np.intp), columns.clip(-1, width).astype(np.intp)
    placed: Mask = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(0, 1)] * 2)[..., rows, columns]
    return placed


_STEPS: dict[str, Callable[[Mask], Mask]] = {
    "dilate": binary_dilation,
    # Nothing beyond the border was drawn by anybody, so that contours do not err there.
    "erode": partial(binary_erosion, border_value=1),
}


def _objects(mask: Mask, padding: int = REACH) -> Iterator[tuple[tuple[slice, ...], Mask]]:
    """Each connected piece, alone in its window."""
    pieces, _ = label(mask)
    for number, box in enumerate(find_objects(pieces), start=1):
        window = tuple(slice(max(0, side.start - padding), side.stop + padding) for side in box)
        yield window, pieces[window] == number


def _with_margin_error(piece: Mask, random: Random) -> Mask:
    step = _STEPS[_pick(random, ("dilate", "erode"))]
    repeats = 1 + int(REPEATS * random.random())
    reach = sum(np.count_nonzero(piece) >= side**piece.ndim for side in SIDES)
    *_, last = (piece, *islice(_stepped(step, piece), repeats * reach))
    return last


def _paste(noisy: Labels, piece: Mask, number: int, random: Random) -> None:
    """Put an object at a random place where it fits; one that is larger than the image is left out."""
    room = [whole - part for whole, part in zip(noisy.shape, piece.shape, strict=True)]
    corner = [int(random.random() * (free + 1)) for free in room]
    if min(room) >= 0:
        noisy[tuple(slice(at, at + part) for at, part in zip(corner, piece.shape, strict=True))][piece] = number
