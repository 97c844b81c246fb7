"""HRF: High-Resolution Fundus image database."""

from __future__ import annotations

from leanseg.data.public._public import Layout, PublicSet, images_and_masks

HRF = PublicSet(
    name="hrf",
    title="HRF",
    url="https://www5.cs.fau.de/research/data/fundus-images/",
    licence="CC BY 4.0",
    ships_weights=True,
    citation="Budai et al. 2013, Robust vessel segmentation in fundus images, Int. J. Biomedical Imaging",
    modality="fundus photograph",
    targets=("vessel",),
    count=45,
    split="none is official",
    layouts=(
        (
            Layout(
                image=r"images/(?P<id>\d\d_(?:dr|g|h))\.jpg",
                masks=("manual1/{id}.tif",),
                valid="mask/{id}_mask.tif",
            ),
        ),
        images_and_masks(r"\d\d_(?:dr|g|h)"),
    ),
    patients="number and group (dr diabetic retinopathy, g glaucoma, h healthy): one image each",
    site="Erlangen",
)
