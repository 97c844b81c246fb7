"""The same image under every arm of ``domain_generalisation.py``, one row for each site that was left out.

    python benchmarks/domain_pictures.py --set polyps --work DIR --out polyps.jpg
    python benchmarks/domain_pictures.py --set vessels --work DIR --image retina.jpg --out retina.jpg

Models of one seed. A row shows the image of the left-out site whose Dice under the first arm is the median, so
that nobody chose it, with correct, superfluous and missed pixels; or ``--image``, which no training saw, with outlines
alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from domain_generalisation import DOMAINS, Domain, left_out
from harness import Results
from leanseg.bundle import read_bundle
from leanseg.data.folder import open_dataset
from leanseg.images.atomic import replacing
from leanseg.images.image import Image
from leanseg.images.read import read_image
from leanseg.inference.predictor import Predictor
from leanseg.report.figures import error_overlay, overlay
from leanseg.types import Labels

PANEL, TITLE, GAP = 240, 44, 6
"""Pixels: longest side of a picture, height of the titles, and what lies between."""

SEED = 0

Show = Callable[[Labels], Any]


def main() -> None:
    """Segment, draw and write one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=DOMAINS, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/domain_generalisation"))
    parser.add_argument("--image", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    domain, work = DOMAINS[given.set], given.work / given.set
    rows = [_row(site, domain, work, given.image or _median(given.set, site, domain)) for site in domain.sites]
    with replacing(given.out) as part:
        _sheet(rows, ["image", *domain.arms]).save(part, format="JPEG", quality=88, optimize=True)


def _median(name: str, site: str, domain: Domain) -> str:
    """The image of a left-out site that the first arm segments as well as half of them."""
    first = next(iter(domain.arms))
    runs = Results(f"domain_generalisation_{name}").content["runs"]
    run = next(run for run in runs if (run["arm"], run["seed"]) == (first, SEED))
    ranked = sorted(run["trials"][f"unseen: {site}"]["images"], key=lambda row: row["dice"])
    return str(ranked[len(ranked) // 2]["image"])


def _row(site: str, domain: Domain, work: Path, wanted: str | Path) -> Sequence[Any]:
    folder = left_out(site)
    image, show = _shown(work / folder, wanted)
    panels = [show(np.zeros(image.shape, np.uint8))]
    ImageDraw.Draw(panels[0]).text((4, 2), f"{site} left out", fill="white", stroke_width=2, stroke_fill="black")
    for arm in domain.arms:
        bundle = read_bundle(work / f"{arm}-{SEED}" / folder / "model")
        panels.append(show(Predictor(bundle=bundle, threads=1).predict(image).labels))
    return panels


def _shown(data: Path, wanted: str | Path) -> tuple[Image, Show]:
    """An image, and what draws labels on it."""
    dataset = open_dataset(data)
    classes = dataset.classes
    if isinstance(wanted, Path):
        image = read_image(wanted)
        return image, lambda labels: Pillow.fromarray(overlay(image, labels, classes, longest=PANEL))
    case = next(case for case in dataset.cases if case.stem == wanted)
    image, truth = dataset.read_image(case), dataset.read_labels(case)
    keywords: Mapping[str, Any] = {"classes": classes, "legend": False, "longest": PANEL}
    return image, lambda labels: Pillow.fromarray(error_overlay(image, truth, labels, **keywords))


def _sheet(rows: Sequence[Sequence[Any]], titles: Sequence[str]) -> Any:
    """Panels in rows below the titles of their columns."""
    heights = [max(panel.height for panel in row) + GAP for row in rows]
    sheet = Pillow.new("RGB", ((PANEL + GAP) * len(titles), TITLE + sum(heights)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(titles):
        draw.multiline_text((column * (PANEL + GAP) + 4, 4), title.replace(", ", ",\n"), fill="black", font=font)
    top = TITLE
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            sheet.paste(panel, (column * (PANEL + GAP), top))
        top += height
    return sheet


if __name__ == "__main__":
    main()
