"""PNG, JPEG, GIF, BMP and PPM pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile

from leanseg.errors import InputError
from leanseg.images.guard import Budget, check_file, decoding
from leanseg.images.image import Image
from leanseg.images.orientation import TAG, upright
from leanseg.types import Pixels

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ppm", ".pgm")
ADVICE = "Save it as a tiled TIFF, which is read piece by piece."

# Opening a format's own class passes by Pillow's process-wide size limit: the budget decides instead.
_FORMATS: dict[bytes, tuple[type[ImageFile], str]] = {
    b"\x89PNG": (PngImageFile, "PNG"),
    b"\xff\xd8\xff": (JpegImageFile, "JPEG"),
    b"GIF8": (GifImageFile, "GIF"),
    b"BM": (BmpImageFile, "BMP"),
    b"P5": (PpmImageFile, "PPM"),
    b"P6": (PpmImageFile, "PPM"),
}
_GREY = {"1": "L", "L": "L", "LA": "L", "La": "L", "I": "I", "I;16": "I;16"}
_NEARLY_GREY = 8  # levels between the channels of a palette entry; DRIVE's second observer has (4, 2, 4) as black


def read_raster(path: Path, *, budget: Budget) -> Image:
    """Read one picture as it is displayed: turned by its EXIF tag, palettes resolved, transparency dropped.

    Args:
        path: the file; its first bytes decide the format, not its ending.
        budget: the largest size that is decoded.

    Returns:
        (1, H, W) grey or (3, H, W) red, green, blue; 8 or 16 bits as in the file.

    Raises:
        InputError: not such a picture, cut off, animated or too large.
    """
    return Image(_pixels(path, _open(path, budget)), source=path)


def read_raster_mask(path: Path, *, budget: Budget) -> NDArray[Any]:
    """Read the values of a mask from a picture, (H, W).

    A palette of greys gives its grey values, a palette of colours its index numbers.

    Args:
        path: the file.
        budget: the largest size that is decoded.

    Raises:
        InputError: unreadable, or colours that do not stand for one value each.
    """
    picture = _open(path, budget)
    # The unused entries of a GIF palette are arbitrary; the palette of a PNG lists the classes.
    if picture.mode == "P" and not _grey_palette(picture, used_only=isinstance(picture, GifImageFile)):
        return upright(np.asarray(picture), _orientation(picture))
    plane = one_channel(path, _pixels(path, picture))
    if _drawn_in_alpha(picture, plane):
        msg = "expected a mask drawn in grey values, found one drawn in transparency only."
        raise InputError(path, f"{msg} Flatten it to grey, or let leanseg data repair do it.")
    return plane


def read_alpha_mask(path: Path, *, budget: Budget) -> NDArray[np.uint8] | None:
    """The transparency of a picture that is drawn in nothing else, (H, W), 0 where nothing was drawn; None of others.

    Raises:
        InputError: unreadable.
    """
    picture = _open(path, budget)
    if not _drawn_in_alpha(picture, _pixels(path, picture)):
        return None
    alpha: NDArray[np.uint8] = upright(np.asarray(picture.getchannel("A")), _orientation(picture))
    return alpha


def _drawn_in_alpha(picture: ImageFile, pixels: NDArray[Any]) -> bool:
    if "A" not in picture.getbands() or pixels.min() < pixels.max():
        return False
    lowest, highest = picture.getchannel("A").getextrema()
    return bool(lowest != highest)


def one_channel(path: Path, pixels: Pixels) -> NDArray[Any]:
    """The single plane of a mask whose channels all say the same, (C, *spatial) to (*spatial).

    Raises:
        InputError: the channels differ.
    """
    if any(not np.array_equal(pixels[0], other) for other in pixels[1:]):
        msg = f"expected a mask with one value per pixel, found {len(pixels)} channels that differ"
        raise InputError(path, f"{msg}. Save it as grey values or with a palette, or one file for each class.")
    plane: NDArray[Any] = pixels[0]
    return plane


def _open(path: Path, budget: Budget) -> ImageFile:
    """The decoded picture, whose size was checked before."""
    check_file(path)
    with path.open("rb") as stream:
        start = stream.read(4)
    found = next((entry for magic, entry in _FORMATS.items() if start.startswith(magic)), None)
    if found is None:
        msg = "expected a PNG, JPEG, GIF, BMP or PPM picture, found other content"
        raise InputError(path, f"{msg}. Export it again, or give it the ending of its real format.")
    opener, name = found
    with decoding(path, f"a {name} picture"), opener(path) as picture:
        samples = "uint16" if picture.mode.startswith("I") or _deep_colour(path) else "uint8"
        budget.check(path, (*picture.size[::-1], len(picture.getbands())), samples, advice=ADVICE)
        frames = 1 if name == "JPEG" else getattr(picture, "n_frames", 1)
        if frames > 1:
            raise InputError(path, f"expected one picture, found an animation of {frames}. Save one frame each.")
        if name == "PPM" and picture.tile[0].codec_name != "raw":
            raise InputError(path, "expected 8 bits per sample in a PPM file, found others. Save it as PNG.")
        picture.load()
    return picture


def _pixels(path: Path, picture: ImageFile) -> Pixels:
    """(C, H, W) upright."""
    with decoding(path, "a picture"):
        if picture.mode == "P" and _grey_palette(picture, used_only=isinstance(picture, GifImageFile)):
            pixels = _palette(picture).mean(axis=1).round().astype(np.uint8)[np.asarray(picture)][None]
        elif _deep_colour(path):
            samples = imagecodecs.png_decode(path.read_bytes())
            count = samples.shape[-1]
            pixels = np.moveaxis(samples, -1, 0)[: count - (count % 2 == 0)]  # an even count ends with alpha
        elif picture.mode in _GREY:
            pixels = np.asarray(picture.convert(_GREY[picture.mode]))[None]
            pixels = pixels.astype(np.uint16) if picture.mode == "I" else pixels
        else:
            pixels = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
        return np.ascontiguousarray(upright(pixels, _orientation(picture)))


def _deep_colour(path: Path) -> bool:
    """Whether it is a PNG of 16 bits with more than a grey channel, which Pillow would cut to 8 bits."""
    with path.open("rb") as stream:
        header = stream.read(26)
    return header.startswith(b"\x89PNG") and len(header) == 26 and header[24] == 16 and header[25] in (2, 4, 6)


def _palette(picture: ImageFile) -> NDArray[Any]:
    """Colours of all entries, (256, 3)."""
    entries = np.zeros(768, np.float64)
    known = picture.getpalette() or []
    entries[: len(known)] = known
    return entries.reshape(256, 3)


def _grey_palette(picture: ImageFile, *, used_only: bool) -> bool:
    entries = _palette(picture)
    chosen = entries[np.unique(np.asarray(picture))] if used_only else entries
    return bool((np.ptp(chosen, axis=1) <= _NEARLY_GREY).all())


def _orientation(picture: ImageFile) -> int:
    try:
        return int(picture.getexif().get(TAG, 1))
    except (SyntaxError, TypeError, ValueError, OSError):  # broken metadata around a sound picture
        return 1
