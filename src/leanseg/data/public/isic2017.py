"""ISIC 2017, task 1: outlines of skin lesions."""

from __future__ import annotations

from leanseg.data.public._public import Layout, PublicSet, images_and_masks


def _part(name: str, split: str) -> Layout:
    return Layout(
        image=rf"ISIC-2017_{name}_Data/(?P<id>ISIC_\d{{7}})\.jpg",
        masks=(f"ISIC-2017_{name}_Part1_GroundTruth/{{id}}_segmentation.png",),
        split=split,
    )


ISIC2017 = PublicSet(
    name="isic2017",
    title="ISIC 2017",
    url="https://challenge.isic-archive.com/data/#2017",
    licence="CC0",
    ships_weights=True,
    citation="Codella et al. 2018, Skin lesion analysis toward melanoma detection, arXiv:1710.05006",
    modality="dermoscopy",
    targets=("lesion",),
    count=2750,
    split="official 2000 for training, 150 for validation and 600 for the test, where the download tells them apart",
    layouts=(
        (_part("Training", "train"), _part("Validation", "val"), _part("Test_v2", "test")),
        images_and_masks(r"ISIC_\d{7}"),
    ),
    patients="not published: each image counts as one",
    site="ISIC",
)
