"""IDRiD: four kinds of lesions of diabetic retinopathy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from leanseg.data.dataset import Case
from leanseg.data.masks import read_drawn_mask
from leanseg.data.public._public import Layout, PublicSet
from leanseg.images.read import read_image

LESIONS = {
    "microaneurysm": ("1. Microaneurysms", "MA"),
    "haemorrhage": ("2. Haemorrhages", "HE"),
    "hard-exudate": ("3. Hard Exudates", "EX"),
    "soft-exudate": ("4. Soft Exudates", "SE"),
}
"""Class to the publisher's folder and abbreviation."""


def read_lesions(path: Path) -> NDArray[Any]:
    """The brightest channel of a mask, (H, W): the official ones draw in red on black.

    Raises:
        InputError: unreadable.
    """
    brightest: NDArray[Any] = read_image(path).pixels.max(axis=0)
    return brightest


def read_field(path: Path) -> NDArray[Any]:
    """Where the field of view lies, (H, W): the copy in use marks what lies outside, but its centre never does.

    Raises:
        InputError: unreadable.
    """
    values = read_drawn_mask(path)
    inside: NDArray[Any] = values == values[values.shape[0] // 2, values.shape[1] // 2]
    return inside


def _assign(case: Case) -> str:
    return "train" if int(case.stem.removeprefix("IDRiD_")) <= 54 else "test"


IDRID = PublicSet(
    name="idrid",
    title="IDRiD",
    url="https://idrid.grand-challenge.org/",
    licence="CC BY 4.0",
    ships_weights=True,
    citation="Porwal et al. 2018, Indian Diabetic Retinopathy Image Dataset (IDRiD), Data 3(3):25",
    modality="fundus photograph",
    targets=tuple(LESIONS),
    count=81,
    split="official: images 01 to 54 for training, 55 to 81 for the test",
    layouts=(
        (
            Layout(
                image=r"1\. Original Images/(?P<part>[ab]\. (?:Training|Testing) Set)/(?P<id>IDRiD_\d\d)\.jpg",
                masks=tuple(
                    f"2. All Segmentation Groundtruths/{{part}}/{folder}/{{id}}_{code}.tif"
                    for folder, code in LESIONS.values()
                ),
            ),
        ),
        (
            Layout(
                image=r"images/(?P<id>IDRiD_\d\d)\.jpg",
                masks=tuple(f"masks_{code}/{{id}}.png" for _, code in LESIONS.values()),
                valid="fov/{id}.png",
            ),
        ),
    ),
    patients="not published: each image counts as one",
    site="Nanded",
    assign=_assign,
    read_mask=read_lesions,
    read_valid=read_field,
)
"""The segmentation task; an image without a lesion of one kind has no file of it. The optic disc is not read."""
