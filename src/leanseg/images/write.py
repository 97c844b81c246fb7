"""Write what was segmented, beside each other and at the size and place of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from leanseg.errors import UsageError
from leanseg.images.atomic import replacing
from leanseg.images.image import PixelSource
from leanseg.types import Classes, Labels


def write_labels(labels: Labels, *, like: PixelSource, classes: Classes, folder: Path) -> list[Path]:
    """Write labels as mask files with the values that the task gives its classes.

    Args:
        labels: (H, W) or (D, H, W) class numbers; (K, *spatial) of 0/1 where classes overlap.
        like: the source, whose stem names the file; two sources of one stem overwrite each other.
        classes: what the numbers mean; overlapping classes are written to ``folder/<class>/``.
        folder: where to write; it is made when missing.

    Returns:
        the files written.

    Raises:
        UsageError: the labels do not have the size of the source.
    """
    if not classes.overlapping:
        planes = {folder / f"{like.stem}.png": classes.decode(labels)}
    else:
        planes = {
            folder / name / f"{like.stem}.png": np.where(plane > 0, value, classes.background).astype(np.uint8)
            for name, value, plane in zip(classes.names, classes.values, labels, strict=True)
        }
    for path, values in planes.items():
        _write_png(path, values)
    return list(planes)


def _write_png(path: Path, values: NDArray[Any]) -> None:
    if values.max(initial=0) > np.iinfo(np.uint16).max:
        raise UsageError(f"a PNG holds values up to 65535, the classes ask for {values.max()}")
    with replacing(path) as temporary:
        Picture.fromarray(values).save(temporary)
