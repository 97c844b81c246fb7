"""CVC-ColonDB: frames of colonoscopy videos with polyps."""

from __future__ import annotations

from leanseg.data.public._public import PublicSet, frame_block, images_and_masks

CVC_COLONDB = PublicSet(
    name="cvc-colondb",
    title="CVC-ColonDB",
    url="http://vi.cvc.uab.es/colon-qa/cvccolondb/",
    licence="research only",
    ships_weights=False,
    citation="Bernal et al. 2012, Towards automatic polyp detection with a polyp appearance model, "
    "Pattern Recognition 45(9)",
    modality="colonoscopy",
    targets=("polyp",),
    count=380,
    split="none is official",
    layouts=(images_and_masks(r"\d+"),),
    patient=frame_block,
    patients="not published: blocks of 25 neighbouring frames, which look alike, stay together",
    site="CVC-ColonDB",
)
"""The count is that of the copy in common use with images/ and masks/."""
