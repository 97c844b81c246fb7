"""The pages of ``instances.py``: objects found by each network with each way of parting its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leanseg.metrics.intervals import bootstrap_mean, compare
from markdown_table import markdown_table

HEAD = ("network", "parted by", "seeds", "panoptic quality, 95 % interval", "beside connected pieces",
        "F1 of objects", "AJI", "Dice")  # fmt: skip
FIRST = "connected pieces"

Run = Mapping[str, Any]


def instance_page(content: Mapping[str, Any] | None) -> str:
    """One row for each network and way; seeds averaged image by image."""
    if content is None or not content["runs"]:
        return "*Not run yet: `make bench NAME=instances`.*\n"
    runs: Sequence[Run] = content["runs"]
    arms = dict.fromkeys(run["arm"] for run in runs)
    rows = [_cells([run for run in runs if run["arm"] == arm], way) for arm in arms for way in runs[0]["trials"]]
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    return f"{markdown_table(HEAD, *rows)}\n\nMade by `benchmarks/instances.py`; commit {commits}.\n"


def _cells(runs: Sequence[Run], way: str) -> list[str]:
    patients = {row["image"]: row["patient"] for row in runs[0]["trials"][way]["images"]}
    groups = list(patients.values())
    quality, pieces = _values(runs, way, "pq"), _values(runs, FIRST, "pq")
    beside = "" if way == FIRST else _interval(compare(quality, pieces, groups=groups).difference, "+.3f")
    heights = sorted({run["separation"] for run in runs})
    name = way if way == FIRST else f"{way}, separation {' or '.join(f'{height:g}' for height in heights)}"
    return [
        runs[0]["arm"], name, str(len(runs)), _interval(bootstrap_mean(quality, groups=groups), ".3f"), beside,
        *(f"{np.mean(_values(runs, way, score)):.3f}" for score in ("object_f1", "aji", "dice")),
    ]  # fmt: skip


def _values(runs: Sequence[Run], way: str, score: str) -> list[float]:
    """The score of each image, the mean of all seeds."""
    columns = [[row[score] for row in run["trials"][way]["images"]] for run in runs]
    return [float(np.mean(values)) for values in zip(*columns, strict=True)]


def _interval(estimate: Any, form: str) -> str:
    low, high = estimate.interval or (np.nan, np.nan)
    return f"{estimate.mean:{form}} ({low:{form}} to {high:{form}})"
