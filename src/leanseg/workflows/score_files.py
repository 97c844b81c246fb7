"""Writes what was scored: scores.csv, scores.json and the sections of a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from leanseg import __version__
from leanseg.images.atomic import replacing
from leanseg.metrics.audit import RARE, prevalence
from leanseg.metrics.intervals import Estimate
from leanseg.report.charts import Dots, Reliability
from leanseg.report.contents import Picture, Table
from leanseg.types import Expected
from leanseg.workflows.config import plain
from leanseg.workflows.evaluation import Evaluation
from leanseg.workflows.promises import promises
from leanseg.workflows.score_charts import dots, reliabilities, reliability
from leanseg.workflows.score_tables import NAMES, comparison_table, mean_table, percent, pooled_table, site_table
from leanseg.workflows.scoring import SCORES
from leanseg.workflows.summary import ClassSummary, ModelComparison, by_site

EXPECTED = ("expected_dice", "expected_low", "expected_high")
"""Columns for what the model expected."""
SHOWN = 5
"""Files or classes that a remark names; scores.json names all."""


class ScoreSections(TypedDict):
    """What :class:`EvaluateReport` and :class:`TrainReport` show of an evaluation."""

    tables: Sequence[Table]
    dots: Mapping[str, Sequence[Dots]]
    reliability: Sequence[Reliability]
    worst: Sequence[Picture]
    best: Sequence[Picture]


def score_sections(result: Evaluation) -> ScoreSections:
    """The sections of a report about scores."""
    if not result.rows:
        return ScoreSections(tables=(), dots={}, reliability=(), worst=(), best=())
    tables = [mean_table(result.summaries), pooled_table(result.summaries)]
    if result.comparisons:
        tables.append(comparison_table(result.comparisons))
    if sites := by_site(result.rows):
        tables.append(site_table(sites))
    plots = {NAMES[score]: dots(result.rows, result.summaries, score) for score in ("dice", "nsd")}
    return ScoreSections(
        tables=tables,
        dots={name: rows for name, rows in plots.items() if rows},
        reliability=reliabilities(result.summaries),
        worst=result.worst,
        best=result.best,
    )


def remarks(result: Evaluation) -> list[str]:
    """What a reader must know before the numbers: misses, empty images, rare classes, files that were not used."""
    images = len({row.image for row in result.rows})
    found = [
        f"{model} was trained on {count} of these {images} images, which flatter it: score others."
        for model, count in result.known.items()
    ]
    for s in result.summaries:
        who = f"{s.name} ({s.model})"
        if s.missed:
            found.append(
                f"{who}: missed altogether in {s.missed} of {s.images} images, which count with the worst value."
            )
        if s.both_empty:
            empty = f"{s.both_empty} of {s.images} images hold it neither in truth nor in prediction"
            found.append(f"{who}: {empty}; they have no Dice and are counted apart.")
        if s.unit == "mixed":
            found.append(f"{who}: some distances are in mm and some in pixels; do not trust their means.")
    found += about_rare_classes(result.summaries)
    for p in promises(result.rows):
        held = f"{p.held} of {p.images} intervals of the expected Dice held the true one"
        found.append(f"{p.name} ({p.model}): {held}; the expectation was off by {p.error:.3f} on average.")
    if result.failed:
        names = ", ".join(Path(file).name for file, _ in result.failed[:SHOWN])
        more = f" and {len(result.failed) - SHOWN} more" if len(result.failed) > SHOWN else ""
        found.append(f"{len(result.failed)} files could not be used: {names}{more}. scores.json names every reason.")
    return found


def about_rare_classes(summaries: Sequence[ClassSummary]) -> list[str]:
    """One note on classes with so few pixels that accuracy and AUROC say little; none where there is no such class."""
    shares = {s.name: s.prevalence for s in summaries if s.prevalence and s.prevalence < RARE}
    if not shares:
        return []
    rarest = sorted(shares.items(), key=itemgetter(1))
    named = [f"{percent(1 - share)} for {name} (prevalence {percent(share)})" for name, share in rarest[:SHOWN]]
    more = f" and more for {len(rarest) - SHOWN} other classes" if len(rarest) > SHOWN else ""
    advice = "Accuracy says little about rare classes; look at Dice"
    if any("average_precision" in s.pooled for s in summaries):
        advice = "Accuracy and AUROC say little about rare classes; look at average precision"
    return [f"{advice}. Predicting nothing has an accuracy of {', '.join(named)}{more}."]


def write_scores(result: Evaluation, folder: Path, *, facts: Mapping[str, object]) -> None:
    """Write ``scores.csv`` (a row for each image, class and model) and ``scores.json``.

    Args:
        result: what was scored.
        folder: where to.
        facts: what was scored on, as in the report.
    """
    with replacing(folder / "scores.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        flags = ("both_empty", "missed", "prevalence")
        writer.writerow(("image", "patient", "site", "model", "class", "distance_unit", *flags, *SCORES, *EXPECTED))
        for row in result.rows:
            one = row.expected or Expected()
            values = (prevalence(row.counts), *map(row.scores.get, SCORES), one.value, one.low, one.high)
            cells = ("" if value is None else f"{value:.6g}" for value in values)
            about = (row.image, row.patient, row.site, row.model, row.name, row.unit)
            writer.writerow((*about, int(row.counts.both_empty), int(row.missed), *cells))
    content = {
        "version": __version__,
        "facts": plain(facts),
        **_as_dict(result.summaries, result.comparisons),
        "sites": [{**asdict(one), "dice": one.dice and _interval(one.dice)} for one in by_site(result.rows)],
        "expected": [asdict(promise) for promise in promises(result.rows)],
        "failed": [{"file": file, "reason": reason} for file, reason in result.failed],
    }
    with replacing(folder / "scores.json") as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _as_dict(summaries: Sequence[ClassSummary], comparisons: Sequence[ModelComparison]) -> dict[str, Any]:
    """The numbers of scores.json: models -> classes -> means, pooled figures, reliability; and comparisons."""
    models: dict[str, Any] = {}
    for s in summaries:
        entry: dict[str, Any] = {
            "images": s.images,
            "images_with_class": s.holding,
            "both_empty": s.both_empty,
            "missed": s.missed,
            "distance_unit": s.unit,
            "means": {score: _interval(interval) for score, interval in s.means.items()},
            "pooled": s.pooled,
            "prevalence": s.prevalence,
            "predict_nothing": s.nothing,
            "predict_everything": s.everything,
        }
        if (bins := reliability(s)) is not None:
            columns = {"edges": bins.edges, "confidence": bins.confidence, "frequency": bins.frequency}
            entry["reliability"] = {
                name: [None if np.isnan(v) else v for v in values] for name, values in columns.items()
            }
            entry["reliability"] |= {"counts": bins.counts, "ece": bins.error}
        models.setdefault(s.model, {})[s.name] = entry
    differences = [
        {"class": c.name, "score": c.score, "first": c.first, "second": c.second, **_interval(c.found.difference)}
        | {"p": c.found.p_value, "wins": c.found.wins, "losses": c.found.losses}
        for c in comparisons
    ]
    return {"models": models, "comparisons": differences}


def _interval(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval or (None, None)
    return {"mean": estimate.mean, "low": low, "high": high, "n": estimate.n, "independent": estimate.groups}
