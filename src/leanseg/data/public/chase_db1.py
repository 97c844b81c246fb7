"""CHASE_DB1: retinal images of both eyes of 14 children."""

from __future__ import annotations

from leanseg.data.dataset import Case
from leanseg.data.public._public import Layout, PublicSet


def _child(stem: str) -> str:
    return stem.removeprefix("Image_")[:2]


def _assign(case: Case) -> str:
    return "train" if int(case.patient) <= 10 else "test"


CHASE_DB1 = PublicSet(
    name="chase-db1",
    title="CHASE_DB1",
    url="https://researchdata.kingston.ac.uk/96/",
    licence="CC BY 4.0",
    ships_weights=True,
    citation="Fraz et al. 2012, An ensemble classification-based approach applied to retinal blood vessel "
    "segmentation, IEEE TBME 59(9)",
    modality="fundus photograph",
    targets=("vessel",),
    count=28,
    split="the usual one: children 01 to 10 (20 images) for training, 11 to 14 (8 images) for the test",
    layouts=(
        (Layout(image=r"(?P<id>Image_\d\d[LR])\.jpg", masks=("{id}_1stHO.png",)),),
        (
            Layout(
                image=r"images/(?P<id>Image_\d\d[LR])\.jpg",
                masks=("masks_1stHO/{id}_1stHO.png",),
                valid="fov/{id}.gif",
            ),
        ),
    ),
    patient=_child,
    patients="the child's number in the file name",
    site="CHASE",
    assign=_assign,
)
