"""Read an image or a mask of any kind: the ending of the file decides how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images import raster
from leanseg.images.guard import LIMIT, Budget
from leanseg.images.image import Image


def read_image(path: Path, *, max_pixels: int = LIMIT) -> Image:
    """Read an image as a whole.

    Args:
        path: a picture, TIFF, NIfTI or DICOM file or the folder of a DICOM series.
        max_pixels: the most samples (pixels times channels) that are decoded.

    Raises:
        InputError: missing, broken, too large or of an unknown kind.
    """
    if path.suffix.lower() in raster.ENDINGS:
        return raster.read_raster(path, budget=Budget(samples=max_pixels))
    raise InputError(path, "unknown kind of image")


def read_mask(path: Path) -> NDArray[Any]:
    """Read the values of a mask file, whole numbers of the spatial shape.

    Raises:
        InputError: missing, broken, of an unknown kind, or colours that do not stand for one value each.
    """
    if path.suffix.lower() in raster.ENDINGS:
        return raster.read_raster_mask(path, budget=Budget())
    raise InputError(path, "unknown kind of image")
