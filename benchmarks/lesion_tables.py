"""The page of ``dr_lesions.py``: one table for each lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leanseg.metrics.intervals import bootstrap_mean
from markdown_table import markdown_table

HEAD = ("arm", "parameters", "seeds", "average precision", "by eleven thresholds", "IoU", "Dice", "accuracy",
        "lesions found at one false alarm an image",
        "mean AP of images, 95 % interval")  # fmt: skip


def lesion_page(content: Mapping[str, Any] | None) -> str:
    """Pooled over all pixels of all images (means over seeds), and image by image."""
    if content is None or not content["runs"]:
        return "*Not run yet: `make bench NAME=dr_lesions`.*\n"
    runs: Sequence[Mapping[str, Any]] = content["runs"]
    blocks = [_table(name, runs) for name in runs[0]["lesions"]]
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    return "\n\n".join([*blocks, f"Made by `benchmarks/dr_lesions.py`; commit {commits}."]) + "\n"


def _table(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    first = runs[0]["lesions"][name]
    title = f"**{name}**: {first['lesions']} in {first['images_with_lesion']} of {first['images']} images, "
    title += f"{first['prevalence']:.3%} of the pixels"
    nothing = ["predict nothing", "", "", f"{first['prevalence']:.4f}", "", "0", "0",
               f"{first['accuracy_of_nothing']:.4%}", "0", ""]  # fmt: skip
    arms = dict.fromkeys(run["arm"] for run in runs)
    rows = [nothing, *(_cells(arm, [run for run in runs if run["arm"] == arm], name) for arm in arms)]
    return f"{title}\n\n{markdown_table(HEAD, *rows)}"


def _cells(arm: str, runs: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    found = [run["lesions"][name] for run in runs]

    def mean(score: str, form: str) -> str:
        return format(float(np.mean([one[score] for one in found])), form)

    images = sorted({image for one in found for image in one["by_image"]})
    shown = [i for i in images if found[0]["by_image"][i]["average_precision"] is not None]
    values = [float(np.mean([one["by_image"][i]["average_precision"] for one in found])) for i in shown]
    estimate = bootstrap_mean(values, groups=shown, seed=0)
    interval = f" ({estimate.interval[0]:.3f} to {estimate.interval[1]:.3f})" if estimate.interval else ""
    note = f"{arm}, {runs[0]['note']}" if runs[0]["note"] else arm
    return [
        note, f"{runs[0]['parameters']:,}", str(len(runs)), mean("average_precision", ".3f"),
        mean("eleven_thresholds", ".3f"), mean("jaccard", ".3f"), mean("dice", ".3f"), mean("accuracy", ".4%"),
        mean("sensitivity", ".3f"),
        f"{estimate.mean:.3f}{interval}",
    ]  # fmt: skip
