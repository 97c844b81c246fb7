"""Score tables and charts as people read them, for the terminal, the page and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
import rich.table
from rich.text import Text

from leanseg.metrics.intervals import Estimate
from leanseg.report.charts import Dots, Reliability
from leanseg.report.contents import Table
from leanseg.workflows.scoring import SCORES, ClassScores
from leanseg.workflows.summary import ClassSummary, ModelComparison

NAMES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "accuracy": "Accuracy",
    "hd95": "HD95",
    "asd": "ASD",
    "nsd": "NSD",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "ece": "ECE",
    "cl_dice": "clDice",
    "pq": "PQ",
    "object_f1": "F1 of objects",
    "aji": "AJI",
}
COMPARED = ("dice", "hd95", "nsd", "auroc", "cl_dice", "pq")


def interval_text(estimate: Estimate | None) -> str | None:
    """A mean and its interval in few characters.

    Example:
        >>> interval_text(Estimate(mean=0.8, interval=(0.7, 0.85), n=20, groups=20))
        '0.800 (0.700 to 0.850)'
    """
    if estimate is None:
        return None
    digits = 3 if abs(estimate.mean) < 10 else 1
    ends = "" if estimate.interval is None else " ({:.{d}f} to {:.{d}f})".format(*estimate.interval, d=digits)
    return f"{estimate.mean:.{digits}f}{ends}"


def score_tables(summaries: Sequence[ClassSummary]) -> list[Table]:
    """Means with intervals, and pooled figures: one row for each score, one column for each model and class."""
    columns = ("Score", *_columns(summaries))
    counts = (
        ("Images", *(s.images for s in summaries)),
        ("of them missed", *(s.missed for s in summaries)),
        ("of them empty in truth and prediction", *(s.both_empty for s in summaries)),
    )
    means = (
        (_heading(score, _unit(summaries)), *(interval_text(s.means.get(score)) for s in summaries))
        for score in SCORES
        if any(score in s.means for s in summaries)
    )
    pooled = (
        (NAMES[score], *(s.pooled.get(score) for s in summaries))
        for score in SCORES
        if any(score in s.pooled for s in summaries)
    )
    return [
        Table(
            title="Mean over images with 95 % interval",
            columns=columns,
            rows=[*counts, *means],
            file="scores.json",
            note="Images that are empty in truth and prediction have no Dice and are counted apart. A missed structure "
            "counts with the worst value: Dice 0, distances as long as the image's diagonal.",
        ),
        Table(title="All pixels pooled", columns=columns, rows=list(pooled), file="scores.json"),
    ]


def _columns(summaries: Sequence[ClassSummary]) -> list[str]:
    several = len({s.model for s in summaries}) > 1
    return [f"{s.name}, {s.model}" if several else s.name for s in summaries]


def _unit(summaries: Sequence[ClassSummary]) -> str:
    units = {summary.unit for summary in summaries}
    return units.pop() if len(units) == 1 else "mixed units"


def _heading(score: str, unit: str) -> str:
    return f"{NAMES[score]} ({unit})" if score in ("hd95", "asd") else NAMES[score]


def pooled_table(summaries: Sequence[ClassSummary]) -> Table:
    """Scores over the pixels of all images together."""
    scores = [score for score in SCORES if any(score in summary.pooled for summary in summaries)]
    rows = [(s.model, s.name, *(s.pooled.get(score) for score in scores)) for s in summaries]
    columns = ("Model", "Class", *(NAMES[score] for score in scores))
    return Table(title="All pixels pooled", columns=columns, rows=rows, file="scores.json")


def comparison_table(comparisons: Sequence[ModelComparison]) -> Table:
    """Differences of two models over the same images."""
    rows = [
        (c.name, NAMES[c.score], c.found.difference.n, interval_text(c.found.difference), c.found.p_value,
         f"{c.found.wins} : {c.found.losses}")
        for c in comparisons
        if c.score in COMPARED
    ]  # fmt: skip
    return Table(
        title=f"{comparisons[0].first} minus {comparisons[0].second}, image by image",
        columns=("Class", "Score", "Images", "Mean difference (95 %)", "p (Wilcoxon)", "Higher : lower"),
        rows=rows,
        file="scores.json",
        note="Images that have the score with both models. A p below 0.05 says that a difference is unlikely to be "
        "chance, not that it matters.",
    )


def terminal_table(summaries: Sequence[ClassSummary]) -> rich.table.Table:
    """What fits on a screen: Dice with its interval, and the main scores."""
    shown = [score for score in ("hd95", "nsd", "auroc", "cl_dice", "pq") if any(score in s.means for s in summaries)]
    table = rich.table.Table("model", "class", "images", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Dice (95 % interval)", no_wrap=True)
    for score in shown:
        table.add_column(_heading(score, _unit(summaries)).replace("pixels", "px"))
    table.add_column("missed")
    for s in summaries:
        means = (f"{s.means[score].mean:.3f}" if score in s.means else "-" for score in shown)
        dice = interval_text(s.means.get("dice")) or "-"
        table.add_row(Text(s.model), Text(s.name), str(s.images), dice, *means, str(s.missed))
    return table


def dots(rows: Sequence[ClassScores], summaries: Sequence[ClassSummary], score: str) -> list[Dots]:
    """Every image's score, one row for each model and class that has it."""
    found = []
    for s, title in zip(summaries, _columns(summaries), strict=True):
        if score not in s.means:
            continue
        having = [r for r in rows if (r.model, r.name) == (s.model, s.name) and r.scores.get(score) is not None]
        estimate = s.means[score]
        low, high = estimate.interval or (np.nan, np.nan)
        found.append(
            Dots(
                name=title,
                values=[value for r in having if (value := r.scores[score]) is not None],
                labels=[r.image for r in having],
                mean=estimate.mean,
                low=low,
                high=high,
            )
        )
    return found


def as_dict(summaries: Sequence[ClassSummary], comparisons: Sequence[ModelComparison]) -> dict[str, Any]:
    """The numbers of scores.json: models -> classes -> means, pooled figures, reliability; and comparisons."""
    models: dict[str, Any] = {}
    for s in summaries:
        entry: dict[str, Any] = {
            "images": s.images,
            "both_empty": s.both_empty,
            "missed": s.missed,
            "distance_unit": s.unit,
            "means": {score: _interval(interval) for score, interval in s.means.items()},
            "pooled": s.pooled,
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


def sentence(comparison: ModelComparison) -> str:
    """A comparison in words."""
    c = comparison
    p = "" if c.found.p_value is None else f", p = {c.found.p_value:.3g}"
    return f"{c.name}: {NAMES[c.score]} of {c.first} minus {c.second} {interval_text(c.found.difference)}{p}"


def reliability(summary: ClassSummary, *, name: str = "") -> Reliability | None:
    """The bins of a reliability diagram over all images, if the model gave probabilities."""
    found = summary.calibration
    if found is None:
        return None
    count = np.maximum(found.pixels, 1)
    return Reliability(
        edges=np.linspace(0, 1, len(found.pixels) + 1).tolist(),
        confidence=np.where(found.pixels, found.predicted / count, np.nan).tolist(),
        frequency=np.where(found.pixels, found.observed / count, np.nan).tolist(),
        counts=found.pixels.tolist(),
        name=name,
        error=found.error,
    )


def reliabilities(summaries: Sequence[ClassSummary]) -> list[Reliability]:
    """A reliability diagram for each model and class with probabilities."""
    pairs = zip(summaries, _columns(summaries), strict=True)
    return [bins for s, name in pairs if (bins := reliability(s, name=name)) is not None]
