"""The scores of the models that come with leanseg: for their cards, and for the page that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leanseg.metrics.intervals import bootstrap_mean

LEFT_OUT = "left-out fifths"
HEAD = ("images", "number", "Dice (95 % interval)", "called unlike")

Run = Mapping[str, Any]


def score_rows(run: Run) -> list[tuple[str, ...]]:
    """One row for each set of images that a model was scored on."""
    rows = []
    for name, trial in run["trials"].items():
        images = trial["images"]
        dice = bootstrap_mean([row["dice"] for row in images], groups=[row["patient"] for row in images])
        low, high = dice.interval or (dice.mean, dice.mean)
        unlike = f"{trial['unlike']:.0%}" if "unlike" in trial else ""
        rows.append((name, str(dice.n), f"{dice.mean:.3f} ({low:.3f} to {high:.3f})", unlike))
    return rows


def table(*rows: tuple[str, ...]) -> str:
    """Rows as Markdown, the first one above the line."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


def zoo_page(contents: Mapping[str, Mapping[str, Any] | None]) -> str:
    """All models that ``zoo_models.py`` trained, one below the other."""
    rows, commits = [], set()
    for content in contents.values():
        for run in content["runs"] if content else ():
            rows += [(f"`{run['arm']}`", *row) for row in score_rows(run)]
            commits.add(run["commit"])
    if not rows:
        return "*Not run yet: `make bench NAME=zoo_models`.*\n"
    made = f"Made by `benchmarks/zoo_models.py`, one seed; commit {', '.join(sorted(commits))}."
    return f"{table(('model', *HEAD), *rows)}\n\n{made}\n"
