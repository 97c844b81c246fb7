"""PH2: dermoscopic images of melanocytic lesions."""

from __future__ import annotations

from leanseg.data.public._public import Layout, PublicSet, images_and_masks

PH2 = PublicSet(
    name="ph2",
    title="PH2",
    url="https://www.fc.up.pt/addi/ph2%20database.html",
    licence="research and education only; no redistribution",
    ships_weights=False,
    citation="Mendonca et al. 2013, PH2: a dermoscopic image database for research and benchmarking, IEEE EMBC",
    modality="dermoscopy",
    targets=("lesion",),
    count=200,
    split="none is official",
    layouts=(
        (
            Layout(
                image=r"(?P<id>IMD\d{3})/IMD\d{3}_Dermoscopic_Image/IMD\d{3}\.bmp",
                masks=("{id}/{id}_lesion/{id}_lesion.bmp",),
            ),
        ),
        images_and_masks(r"IMD\d{3}"),
    ),
    patients="not published: each image counts as one",
    site="Matosinhos",
)
