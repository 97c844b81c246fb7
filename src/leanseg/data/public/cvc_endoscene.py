"""CVC-EndoSceneStill: frames of colonoscopy videos with polyps."""

from __future__ import annotations

from leanseg.data.public._public import PublicSet, frame_block, images_and_masks

CVC_ENDOSCENE = PublicSet(
    name="cvc-endoscene",
    title="CVC-EndoSceneStill",
    url="http://pages.cvc.uab.es/CVC-Colon/index.php/databases/cvc-endoscenestill/",
    licence="research only",
    ships_weights=False,
    citation="Vazquez et al. 2017, A benchmark for endoluminal scene segmentation of colonoscopy images, "
    "J. Healthcare Engineering",
    modality="colonoscopy",
    targets=("polyp",),
    count=912,
    split="the official lists are not read; make one by blocks of frames",
    layouts=(images_and_masks(r"\d+"),),
    patient=frame_block,
    patients="not published: blocks of 25 neighbouring frames, which look alike, stay together",
    site="CVC-EndoSceneStill",
)
"""It joins CVC-ClinicDB and CVC-300: never train on one and test on the other."""
