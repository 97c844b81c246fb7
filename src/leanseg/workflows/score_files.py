"""Writes what was scored: scores.csv, scores.json and the sections of a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from leanseg import __version__
from leanseg.images.atomic import replacing
from leanseg.report.charts import Dots, Reliability
from leanseg.report.contents import Picture, Table
from leanseg.types import Expected
from leanseg.workflows.config import plain
from leanseg.workflows.evaluation import Evaluation
from leanseg.workflows.promises import promises
from leanseg.workflows.score_tables import (
    NAMES,
    as_dict,
    comparison_table,
    dots,
    reliabilities,
    score_tables,
)
from leanseg.workflows.scoring import SCORES

EXPECTED = ("expected_dice", "expected_low", "expected_high")
"""Columns for what the model expected."""


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
    tables = score_tables(result.summaries)
    if result.comparisons:
        tables.append(comparison_table(result.comparisons))
    plots = {NAMES[score]: dots(result.rows, result.summaries, score) for score in ("dice", "nsd")}
    return ScoreSections(
        tables=tables,
        dots={name: rows for name, rows in plots.items() if rows},
        reliability=reliabilities(result.summaries),
        worst=result.worst,
        best=result.best,
    )


def remarks(result: Evaluation) -> list[str]:
    """What a reader must know before the numbers: misses, empty images, files that could not be used."""
    found = []
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
    for p in promises(result.rows):
        held = f"{p.held} of {p.images} intervals of the expected Dice held the true one"
        found.append(f"{p.name} ({p.model}): {held}; the expectation was off by {p.error:.3f} on average.")
    if result.failed:
        names = ", ".join(Path(file).name for file, _ in result.failed[:5])
        more = f" and {len(result.failed) - 5} more" if len(result.failed) > 5 else ""
        found.append(f"{len(result.failed)} files could not be used: {names}{more}. scores.json names every reason.")
    return found


def write_scores(result: Evaluation, folder: Path, *, facts: Mapping[str, object]) -> None:
    """Write ``scores.csv`` (a row for each image, class and model) and ``scores.json``.

    Args:
        result: what was scored.
        folder: where to.
        facts: what was scored on, as in the report.
    """
    with replacing(folder / "scores.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = ("image", "patient", "model", "class", "distance_unit", "both_empty", "missed", *SCORES, *EXPECTED)
        writer.writerow(names)
        for row in result.rows:
            values = ("" if (value := row.scores.get(score)) is None else f"{value:.6g}" for score in SCORES)
            flags = (int(row.counts.both_empty), int(row.missed))
            one = row.expected or Expected()
            hoped = ("" if value is None else f"{value:.6g}" for value in (one.value, one.low, one.high))
            writer.writerow((row.image, row.patient, row.model, row.name, row.unit, *flags, *values, *hoped))
    content = {
        "version": __version__,
        "facts": plain(facts),
        **as_dict(result.summaries, result.comparisons),
        "expected": [asdict(promise) for promise in promises(result.rows)],
        "failed": [{"file": file, "reason": reason} for file, reason in result.failed],
    }
    with replacing(folder / "scores.json") as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
