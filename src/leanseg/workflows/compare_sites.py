"""Measure what images of each site of a data set look like, and how far they are from those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from leanseg.data.dataset import Case, Dataset, size_text
from leanseg.estimate.site_shift import SiteShift, site_shifts
from leanseg.images.image import Image
from leanseg.images.preprocess import COLOURS, Preprocessing
from leanseg.quality.appearance import appearance, appearance_names
from leanseg.report.figures import Rgb
from leanseg.report.thumbnail import picture

EACH = 40
"""Images of a site that are measured."""

LONGEST = 512
"""Pixels of the longer side at which pictures are compared, so that cameras are, and not their resolutions alone."""

SHOWN, TILE = 6, 220
"""Images of a site that are shown, and their size in pixels."""

FRAME = 24
"""Grey around them."""


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The sites of a data set, measured.

    Args:
        cases: (N,) that were looked at.
        names: (D,) what was measured.
        looks: (N, D) the measures.
        shifts: each site beside all others.
        sizes: of the images of each site, smallest and largest.
        tiles: some small pictures of each site.
    """

    cases: tuple[Case, ...]
    names: tuple[str, ...]
    looks: NDArray[np.float64]
    shifts: tuple[SiteShift, ...]
    sizes: dict[str, str]
    tiles: dict[str, list[Rgb]]


def compare_sites(dataset: Dataset) -> Sites | None:
    """Measure images of every site; None where the data set names fewer than two.

    Args:
        dataset: labels are not looked at.

    Raises:
        InputError: an image does not open.
    """
    cases = _some([case for case in (*dataset.cases, *dataset.unlabelled) if case.site])
    if len({case.site for case in cases}) < 2:
        return None
    settings = _settings(dataset, cases)
    looks: list[NDArray[np.float64]] = []
    tiles: dict[str, list[Rgb]] = {}
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for case in track(cases, "comparing sites", console=Console(stderr=True), transient=True):
        image = dataset.read_image(case)
        looks.append(appearance(settings.prepare(image))[:-1])
        shapes.setdefault(case.site, set()).add(image.shape)
        if len(shown := tiles.setdefault(case.site, [])) < SHOWN:
            shown.append(_tile(image))
    # The size, which comes last, says nothing once all pictures have been made as large as each other.
    names, every = appearance_names(settings.channels)[:-1], np.stack(looks)
    sites, patients = [case.site for case in cases], [case.patient for case in cases]
    shifts = site_shifts(every, names=names, sites=sites, patients=patients)
    sizes = {site: " to ".join(dict.fromkeys(map(size_text, (min(some), max(some))))) for site, some in shapes.items()}
    return Sites(cases=cases, names=names, looks=every, shifts=shifts, sizes=sizes, tiles=tiles)


def _some(cases: Sequence[Case]) -> tuple[Case, ...]:
    """A few of each site, spread over its patients."""
    kept: list[Case] = []
    for site in sorted({case.site for case in cases}):
        here = [case for case in cases if case.site == site]
        kept += [here[n] for n in np.linspace(0, len(here) - 1, min(EACH, len(here))).round().astype(int)]
    return tuple(kept)


def _settings(dataset: Dataset, cases: Sequence[Case]) -> Preprocessing:
    """Channels as the data set names them; where some sites are in colour and others grey, all are compared in grey."""
    firsts = {case.site: case for case in reversed(cases)}
    counts = {dataset.read_image(case).channels for case in firsts.values()}
    known = {frozenset({1}): ("grey",), frozenset({1, 3}): ("grey",), frozenset({3}): COLOURS}
    names = dataset.channels or known.get(frozenset(counts), tuple(f"channel {n + 1}" for n in range(max(counts))))
    fundus = "fundus" in dataset.modality.lower()
    return Preprocessing(channels=names, field_of_view="fundus" if fundus else "none", longest=LONGEST)


def _tile(image: Image) -> Rgb:
    """A square picture with the whole image in it; of a volume its middle slice."""
    shown = picture(image, index=image.shape[0] // 2 if image.dims == 3 else None, longest=TILE)
    height, width = shown.shape[:2]
    top, left = (TILE - height) // 2, (TILE - width) // 2
    edges = (top, TILE - height - top, left, TILE - width - left)
    return np.asarray(cv2.copyMakeBorder(shown, *edges, cv2.BORDER_CONSTANT, value=(FRAME,) * 3), np.uint8)
