"""What it costs not to know a site, on the same images."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from leanseg.metrics.overlap import Confusion
from leanseg.workflows.scoring import ClassScores
from leanseg.workflows.site_cost import site_costs, write_site_costs


def row(image: str, site: str, dice: float | None) -> ClassScores:
    return ClassScores(
        image=image,
        patient=image,
        site=site,
        model="run",
        name="disc",
        scores={"dice": dice},
        counts=Confusion(),
        unit="px",
    )


ROWS = {
    "north": [row("n1", "north", 0.5), row("n2", "north", 0.7), row("n3", "north", 0.1), row("s1", "south", 0.9)],
    "south": [row("s1", "south", 0.6), row("s2", "south", None), row("n1", "north", 0.8), row("n2", "north", 0.8)],
    "west": [row("w1", "west", 0.3), row("n1", "north", 0.6), row("s2", "south", 0.9)],
}


def test_the_same_images_stand_side_by_side() -> None:
    north, south = site_costs(ROWS)
    assert (north.site, north.images) == ("north", 2), "n3 was no test image elsewhere"
    assert north.unseen == pytest.approx(0.6)
    assert north.known == pytest.approx((0.7 + 0.8) / 2), "n1 by two models"
    assert north.difference.mean == pytest.approx(-0.15)
    assert (south.site, south.images, south.known) == ("south", 1, 0.9), "s2 has no Dice where it is unseen"


def test_the_table_holds_them(tmp_path: Path) -> None:
    write_site_costs(site_costs(ROWS), tmp_path / "sites.csv")
    with (tmp_path / "sites.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in one.values() for one in rows), "every cell is there"
    assert [(one["site"], one["images"]) for one in rows] == [("north", "2"), ("south", "1")]
    assert float(rows[0]["difference"]) == pytest.approx(-0.15)
