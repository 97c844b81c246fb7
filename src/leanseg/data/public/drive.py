"""DRIVE: Digital Retinal Images for Vessel Extraction."""

from __future__ import annotations

from leanseg.data.dataset import Case
from leanseg.data.public._public import Layout, PublicSet

VALIDATION = ("37_training", "38_training", "39_training", "40_training")


def _assign(case: Case) -> str:
    return "val" if case.stem in VALIDATION else case.split


DRIVE = PublicSet(
    name="drive",
    title="DRIVE",
    url="https://drive.grand-challenge.org/",
    licence="research and education only; no redistribution",
    ships_weights=False,
    citation="Staal et al. 2004, Ridge-based vessel segmentation in color images of the retina, IEEE TMI 23(4)",
    modality="fundus photograph",
    targets=("vessel",),
    count=40,
    split="official 20 for training (37 to 40 of them for validation) and 20 for the test",
    layouts=(
        (
            Layout(
                image=r"training/images/(?P<id>\d+)_training\.tif",
                masks=("training/1st_manual/{id}_manual1.gif",),
                valid="training/mask/{id}_training_mask.gif",
                stem="{id}_training",
                split="train",
            ),
            Layout(
                image=r"test/images/(?P<id>\d+)_test\.tif",
                masks=("test/1st_manual/{id}_manual1.gif",),
                valid="test/mask/{id}_test_mask.gif",
                stem="{id}_test",
                split="test",
            ),
        ),
    ),
    patients="one image each",
    site="Utrecht",
    assign=_assign,
)
"""Scores are taken inside the field of view; the first observer is the truth."""
