"""CVC-ClinicDB: frames of colonoscopy videos with polyps."""

from __future__ import annotations

from leanseg.data.public._public import Layout, PublicSet, frame_block, images_and_masks

CVC_CLINICDB = PublicSet(
    name="cvc-clinicdb",
    title="CVC-ClinicDB",
    url="https://polyp.grand-challenge.org/CVCClinicDB/",
    licence="research only",
    ships_weights=False,
    citation="Bernal et al. 2015, WM-DOVA maps for accurate polyp highlighting in colonoscopy, "
    "Computerized Medical Imaging and Graphics 43",
    modality="colonoscopy",
    targets=("polyp",),
    count=612,
    split="none is official",
    layouts=((Layout(image=r"Original/(?P<id>\d+)\.tif", masks=("Ground Truth/{id}.tif",)),), images_and_masks(r"\d+")),
    patient=frame_block,
    patients="not published: blocks of 25 neighbouring frames, which look alike, stay together",
    site="CVC-ClinicDB",
)
