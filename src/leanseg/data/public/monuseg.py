"""MoNuSeg: nuclei in H&E stained tissue of several organs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.data.masks import read_drawn_mask
from leanseg.data.public._public import Layout, PublicSet
from leanseg.errors import InputError
from leanseg.images.read import read_image, read_mask

SLIDE = r"(?P<id>TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}-[A-Z0-9-]+)"


def read_outlines(path: Path) -> NDArray[Any]:
    """A mask of 0 and 255: read from a picture, or filled from the outlines in an Aperio XML file beside its slide.

    Args:
        path: a mask, or an XML file whose image has the same stem, beside it or in ``Tissue Images``.

    Raises:
        InputError: the XML is broken or its image is not there.
    """
    return read_drawn_mask(path) if path.suffix.lower() != ".xml" else np.where(read_nuclei(path) > 0, 255, 0)


def read_nuclei(path: Path) -> NDArray[Any]:
    """Numbers of the nuclei, 0 = background, read from a picture or filled from outlines; a later one covers others.

    Args:
        path: as for :func:`read_outlines`.

    Raises:
        InputError: the XML is broken or its image is not there.
    """
    if path.suffix.lower() != ".xml":
        return read_mask(path)
    folders = (path.parent, path.parent.parent / "Tissue Images")
    image = next((folder / f"{path.stem}.tif" for folder in folders if (folder / f"{path.stem}.tif").is_file()), None)
    if image is None:
        raise InputError(path, f"expected the image {path.stem}.tif beside it, found none")
    numbers = np.zeros(read_image(image).shape, np.int32)
    try:
        root = ElementTree.parse(path).getroot()
        outlines = [
            np.array([(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")])
            for region in root.iter("Region")
        ]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise InputError(path, f"expected outlines in Aperio's XML, found: {error}") from error
    for number, outline in enumerate(outlines, start=1):
        if len(outline) > 2:
            cv2.fillPoly(numbers, [outline.round().astype(np.int32)], number)
    return numbers


def _patient(stem: str) -> str:
    return "-".join(stem.split("-")[:3])


MONUSEG = PublicSet(
    name="monuseg",
    title="MoNuSeg",
    url="https://monuseg.grand-challenge.org/Data/",
    licence="CC BY-NC-SA 4.0",
    ships_weights=False,
    citation="Kumar et al. 2020, A multi-organ nucleus segmentation challenge, IEEE TMI 39(5)",
    modality="H&E histology",
    targets=("nucleus",),
    count=51,
    split="official training and test images",
    layouts=(
        (
            Layout(
                image=rf"Tissue Images/{SLIDE}\.tif",
                masks=("Annotations/{id}.xml",),
                objects="Annotations/{id}.xml",
                split="train",
            ),
            Layout(
                image=rf"MoNuSegTestData/{SLIDE}\.tif",
                masks=("MoNuSegTestData/{id}.xml",),
                objects="MoNuSegTestData/{id}.xml",
                split="test",
            ),
        ),
        tuple(
            Layout(
                image=rf"{split}/images/{SLIDE}\.jpg",
                masks=(f"{split}/masks/{{id}}.png",),
                objects=f"{split}/instances/{{id}}.png",
                split=split,
            )
            for split in ("train", "test")
        ),
    ),
    patient=_patient,
    patients="the first three parts of the TCGA barcode",
    site="TCGA",
    read_mask=read_outlines,
    read_objects=read_nuclei,
)
"""The organs' tissue source sites (second part of the barcode) are not used as sites."""
