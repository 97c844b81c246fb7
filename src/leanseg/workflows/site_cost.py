"""What it costs a model not to know a site: the same images, by models that know the site and by one that does not."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rich.box
import rich.table
from rich.text import Text

from leanseg.images.atomic import replacing
from leanseg.metrics.intervals import Estimate, compare
from leanseg.workflows.score_tables import interval_text
from leanseg.workflows.scoring import ClassScores


@dataclass(frozen=True, kw_only=True)
class SiteCost:
    """One class at one site.

    Args:
        site: hospital or camera.
        name: the class.
        images: how many of the site's images were also test images where the site was known.
        known: mean Dice of these by the models that learnt from others of the site, each image's mean over models.
        unseen: of the same images by the model that never saw the site.
        difference: unseen minus known, patients drawn.
    """

    site: str
    name: str
    images: int
    known: float
    unseen: float
    difference: Estimate


def site_costs(rows: Mapping[str, Sequence[ClassScores]]) -> list[SiteCost]:
    """Compare image by image; sites none of whose images was a test image elsewhere are left out.

    Args:
        rows: by the site that was left out, the scores of one model: of that site, and of test images of the others.
    """
    unseen, known = {}, defaultdict(list)
    for left_out, some in rows.items():
        for row in some:
            dice = row.scores["dice"]
            if dice is not None and row.site == left_out:
                unseen[row.site, row.name, row.image] = dice, row.patient
            elif dice is not None:
                known[row.site, row.name, row.image].append(dice)
    found = []
    for site, name in dict.fromkeys((site, name) for site, name, _ in unseen):
        both = [key for key in unseen if key[:2] == (site, name) and key in known]
        if not both:
            continue
        new, old = [unseen[key][0] for key in both], [float(np.mean(known[key])) for key in both]
        difference = compare(new, old, groups=[unseen[key][1] for key in both]).difference
        means = {"known": float(np.mean(old)), "unseen": float(np.mean(new))}
        found.append(SiteCost(site=site, name=name, images=len(both), **means, difference=difference))
    return found


def write_site_costs(costs: Sequence[SiteCost], file: Path) -> None:
    """Write a table, one row for each site and class."""
    rows = [
        [one.site, one.name, one.images, f"{one.known:.6g}", f"{one.unseen:.6g}", f"{one.difference.mean:.6g}",
         *([f"{end:.6g}" for end in one.difference.interval] if one.difference.interval else ["", ""])]
        for one in costs
    ]  # fmt: skip
    head = ["site", "class", "images", "dice_known", "dice_unseen", "difference", "low", "high"]
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([head, *rows])


def terminal_site_costs(costs: Sequence[SiteCost]) -> rich.table.Table:
    """The same on a screen."""
    head = ("site", "class", "images", "Dice, site known", "never seen", "difference (95 % interval)")
    table = rich.table.Table(*head, box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for one in costs:
        numbers = (f"{one.known:.3f}", f"{one.unseen:.3f}", interval_text(one.difference) or "-")
        table.add_row(Text(one.site), Text(one.name), str(one.images), *numbers)
    return table
