"""FIVES: 800 fundus photographs of four groups."""

from __future__ import annotations

from leanseg.data.public._public import Layout, PublicSet, images_and_masks


def _part(split: str) -> Layout:
    return Layout(
        image=rf"{split}/Original/(?P<id>\d+_[ADGN])\.png",
        masks=(f"{split}/Ground truth/{{id}}.png|{split}/Ground Truth/{{id}}.png",),
        stem=f"{split}_{{id}}",
        split=split,
    )


FIVES = PublicSet(
    name="fives",
    title="FIVES",
    url="https://doi.org/10.6084/m9.figshare.19688169",
    licence="CC BY 4.0",
    ships_weights=True,
    citation="Jin et al. 2022, FIVES: A fundus image dataset for artificial intelligence based vessel segmentation, "
    "Scientific Data 9",
    modality="fundus photograph",
    targets=("vessel",),
    count=800,
    split="official 600 for training and 200 for the test, where the download tells them apart",
    layouts=((_part("train"), _part("test")), images_and_masks(r"\d+_[ADGN]")),
    patients="not published: each image counts as one",
    site="Hangzhou",
)
"""Both official parts number their images from 1, so stems carry the part's name."""
