"""What ``leanseg data check`` says of the sites of a data set: a line for each, a table, and a page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leanseg.data.dataset import Dataset
from leanseg.estimate.site_shift import SiteShift
from leanseg.images.atomic import replacing
from leanseg.metrics.intervals import bootstrap_mean
from leanseg.quality.likeness import spell_out
from leanseg.report.charts import Dots
from leanseg.report.contents import Picture, SitesReport, Table
from leanseg.report.figures import Rgb
from leanseg.report.html import write_report
from leanseg.workflows.compare_sites import FRAME, LONGEST, SHOWN, TILE, Sites

MEASURES = 4
"""Charts of single measures: those in which the sites differ most."""


def site_words(shift: SiteShift) -> str:
    """One line about a site.

    Example:
        >>> site_words(SiteShift(site="A", distances=(0.5, 2.0), respects=("darker (red)",)))
        '50 % of the images unlike those of the other sites: darker (red)'
    """
    if shift.unlike is None:
        return "the other sites have too few patients to compare with"
    text = f"{shift.unlike:.0%} of the images unlike those of the other sites".replace("%", " %")
    return f"{text}: {', '.join(shift.respects)}" if shift.respects else text


def write_sites(sites: Sites, dataset: Dataset, out: Path) -> Path:
    """Write sites.csv, with every measure of every image, and the page report.html.

    Args:
        sites: from :func:`compare_sites`.
        dataset: named on the page.
        out: a folder.

    Returns:
        The page.
    """
    out.mkdir(parents=True, exist_ok=True)
    distances = _distances(sites)
    with replacing(out / "sites.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "site", "patient", "distance", *sites.names))
        for case, distance, row in zip(sites.cases, distances, sites.looks.tolist(), strict=True):
            far = "" if np.isnan(distance) else f"{distance:.4g}"
            writer.writerow((case.stem, case.site, case.patient, far, *(f"{value:.6g}" for value in row)))
    return write_report(_page(sites, dataset, distances), out / "report.html")


def _distances(sites: Sites) -> NDArray[np.float64]:
    """Of every image from the other sites; nan where it is not known."""
    found = np.full(len(sites.cases), np.nan)
    for shift in sites.shifts:
        if shift.distances:
            found[[case.site == shift.site for case in sites.cases]] = shift.distances
    return found


def _page(sites: Sites, dataset: Dataset, distances: NDArray[np.float64]) -> SitesReport:
    far = "1: as far away as the strangest twentieth of the other sites' own images."
    charts = [("distance from the other sites", far, _dots(sites, distances))]
    for column in _telling(sites):
        less, more = spell_out(sites.names[column])
        charts.append((sites.names[column], f"Left: {less}. Right: {more}.", _dots(sites, sites.looks[:, column])))
    sheets = {site: _sheet(tiles) for site, tiles in sites.tiles.items()}
    count = {site: sum(case.site == site for case in sites.cases) for site in sheets}
    return SitesReport(
        title=f"Sites of {dataset.name or dataset.root.name}",
        facts={"images compared": len(sites.cases), "sites": len(sites.shifts)},
        table=Table(
            columns=("site", "images compared", "size", "unlike the other sites"),
            rows=[
                (
                    s.site,
                    count[s.site],
                    sites.sizes[s.site],
                    None if s.unlike is None else f"{s.unlike:.0%}".replace("%", " %"),
                )
                for s in sites.shifts
            ],
            file="sites.csv",
            note="Unlike: further from the images of the other sites than 19 in 20 of those are from each other. "
            f"Pictures are compared with their longer side at {LONGEST} pixels.",
        ),
        charts=charts,
        pictures=[
            Picture.of(sheets[s.site], title=s.site, caption=site_words(s), longest=SHOWN * TILE) for s in sites.shifts
        ],
    )


def _sheet(tiles: Sequence[Rgb]) -> Rgb:
    """Pictures side by side, as wide for few of them as for many."""
    sheet = np.concatenate(tiles, axis=1)
    return np.pad(sheet, ((0, 0), (0, SHOWN * TILE - sheet.shape[1]), (0, 0)), constant_values=FRAME)


def _telling(sites: Sites) -> list[int]:
    """The measures in which sites differ most beside what images of one site differ."""
    where = np.array([case.site for case in sites.cases])
    groups = [sites.looks[where == shift.site] for shift in sites.shifts]
    between = np.var([group.mean(0) for group in groups], axis=0)
    within = np.mean([group.var(0) for group in groups], axis=0)
    return [int(n) for n in np.argsort(-between / (within + 1e-9), kind="stable")[:MEASURES]]


def _dots(sites: Sites, values: NDArray[np.float64]) -> list[Dots]:
    rows = []
    for shift in sites.shifts:
        own = [n for n, case in enumerate(sites.cases) if case.site == shift.site and np.isfinite(values[n])]
        if not own:
            continue
        found = bootstrap_mean(values[own], groups=[sites.cases[n].patient for n in own], resamples=2000)
        low, high = found.interval or (np.nan, np.nan)
        labels = [sites.cases[n].stem for n in own]
        rows.append(
            Dots(name=shift.site, values=values[own].tolist(), mean=found.mean, low=low, high=high, labels=labels)
        )
    return rows
