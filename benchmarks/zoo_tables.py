"""The scores of the models that come with leanseg: for their cards, and for the page that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leanseg.metrics.intervals import bootstrap_mean
from markdown_table import markdown_table

LEFT_OUT = "left-out fifths"
HEAD = ("images", "number", "Dice (95 % interval)", "expected by the model", "called unlike")

Run = Mapping[str, Any]


def score_rows(run: Run) -> list[tuple[str, ...]]:
    """One row for each set of images that a model was scored on."""
    rows = []
    for name, trial in run["trials"].items():
        images = trial["images"]
        dice = bootstrap_mean([row["dice"] for row in images], groups=[row["patient"] for row in images])
        low, high = dice.interval or (dice.mean, dice.mean)
        own = (f"{trial['expected']:.3f}", f"{trial['unlike']:.0%}") if "unlike" in trial else ("", "")
        rows.append((name, str(dice.n), f"{dice.mean:.3f} ({low:.3f} to {high:.3f})", *own))
    return rows


def zoo_page(contents: Mapping[str, Mapping[str, Any] | None]) -> str:
    """All models that ``zoo_models.py`` trained, one below the other."""
    runs = [run for content in contents.values() if content for run in content["runs"]]
    if not runs:
        return "*Not run yet: `make bench NAME=zoo_models`.*\n"
    rows = [(f"`{run['arm']}`", *row) for run in runs for row in score_rows(run)]
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    made = f"Made by `benchmarks/zoo_models.py`, one seed; commit {commits}."
    return f"{markdown_table(('model', *HEAD), *rows)}\n\n{made}\n"
