"""DSB 2018: nuclei of many cell lines, stains and microscopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.dataset import size_text
from leanseg.data.masks import binarise
from leanseg.data.public._public import Layout, PublicSet
from leanseg.errors import InputError
from leanseg.images.read import list_images, read_mask

NAME = "[0-9a-f]{64}"


def read_nuclei(path: Path) -> NDArray[Any]:
    """Numbers of the nuclei, (H, W), 0 = background; where masks of single nuclei overlap, the later one counts.

    Args:
        path: a file of numbers, or a folder with one mask for each nucleus.

    Raises:
        InputError: unreadable, nothing in the folder, or its masks differ in size.
    """
    if path.is_file():
        return read_mask(path)
    files = list_images(path)
    numbers = np.zeros(read_mask(files[0]).shape, np.int32)
    for number, file in enumerate(files, start=1):
        mask = binarise(read_mask(file), file)
        if mask.shape != numbers.shape:
            found = f"expected the size of {files[0].name}, {size_text(numbers.shape)}, found {size_text(mask.shape)}"
            raise InputError(file, f"{found}. Unpack the download again.")
        numbers[mask] = number
    return numbers


def _read_foreground(path: Path) -> NDArray[Any]:
    return read_nuclei(path) > 0


DSB2018 = PublicSet(
    name="dsb2018",
    title="DSB 2018",
    url="https://bbbc.broadinstitute.org/BBBC038",
    licence="CC0",
    ships_weights=True,
    citation="Caicedo et al. 2019, Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, "
    "Nature Methods 16:1247",
    modality="fluorescence and bright-field microscopy",
    targets=("nucleus",),
    count=670,
    split="none is official",
    layouts=(
        (Layout(image=rf"(?P<id>{NAME})/images/(?P=id)\.png", masks=("{id}/masks",), objects="{id}/masks"),),
        (Layout(image=rf"images/(?P<id>{NAME})\.png", masks=("masks/{id}.png",), objects="masks/{id}.png"),),
    ),
    patients="not published: each image counts as one, though some come from one experiment",
    read_mask=_read_foreground,
    read_objects=read_nuclei,
)
"""The training images of stage 1; their corrected version holds 664."""
