"""Charts of scores: every image as a dot, and the reliability of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leanseg.report.charts import Dots, Reliability
from leanseg.workflows.score_tables import titles
from leanseg.workflows.scoring import ClassScores
from leanseg.workflows.summary import ClassSummary


def dots(rows: Sequence[ClassScores], summaries: Sequence[ClassSummary], score: str) -> list[Dots]:
    """Every image's score, one row for each model and class that has it."""
    found = []
    for s, title in zip(summaries, titles(summaries), strict=True):
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
    pairs = zip(summaries, titles(summaries), strict=True)
    return [bins for s, name in pairs if (bins := reliability(s, name=name)) is not None]
