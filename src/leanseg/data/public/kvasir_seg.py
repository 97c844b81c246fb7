"""Kvasir-SEG: polyps in colonoscopy."""

from __future__ import annotations

from leanseg.data.public._public import PublicSet, images_and_masks

KVASIR_SEG = PublicSet(
    name="kvasir-seg",
    title="Kvasir-SEG",
    url="https://datasets.simula.no/kvasir-seg/",
    licence="research and education only",
    ships_weights=False,
    citation="Jha et al. 2020, Kvasir-SEG: a segmented polyp dataset, MMM",
    modality="colonoscopy",
    targets=("polyp",),
    count=1000,
    split="none is official",
    layouts=(images_and_masks(r"[a-z0-9]{20,}"),),
    patients="not published: each image counts as one",
    site="Kvasir",
)
"""The masks are JPEG files; conversion parts their two levels half way."""
