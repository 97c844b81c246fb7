"""Tables over all sites that were left out: every arm, and arms side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leanseg.metrics.intervals import compare

UNSEEN, KNOWN = "unseen: ", "known, "
"""How the trials of a site begin."""

Run = Mapping[str, Any]


def over_sites(runs: Sequence[Run]) -> list[list[str]]:
    """Head and rows: Dice on sites never seen, each of which counts the same, the worst of them, and on known ones."""
    if not any(trial.startswith(UNSEEN) for run in runs for trial in run["trials"]):
        return []
    rows = [["arm", "seeds", "mean of the unseen sites", "the worst of them", "known sites, images of their test"]]
    for arm in dict.fromkeys(run["arm"] for run in runs):
        some = [run for run in runs if run["arm"] == arm]
        sites = {trial: np.mean(_dice(some, (trial,))[0]) for trial in some[0]["trials"] if trial.startswith(UNSEEN)}
        worst = min(sites, key=lambda trial: sites[trial])
        known = np.mean(_dice(some, [trial for trial in some[0]["trials"] if trial.startswith(KNOWN)])[0])
        named = f"{sites[worst]:.4f} ({worst.removeprefix(UNSEEN)})"
        rows.append([arm, str(len(some)), f"{np.mean(list(sites.values())):.4f}", named, f"{known:.4f}"])
    return rows


def side_by_side(runs: Sequence[Run], pairs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Head and rows: the first arm of a pair minus the other, on the images of all unseen sites, patients drawn."""
    rows = [["arm", "minus", "Dice", "95 % interval"]]
    for first, second in pairs:
        both = [[run for run in runs if run["arm"] == name] for name in (first, second)]
        seeds = {run["seed"] for run in both[0]} & {run["seed"] for run in both[1]}
        if not seeds:
            continue
        trials = [trial for trial in both[0][0]["trials"] if trial.startswith(UNSEEN)]
        (one, groups), (other, _) = (_dice([r for r in some if r["seed"] in seeds], trials) for some in both)
        found = compare(one, other, groups=groups).difference
        low, high = found.interval or (found.mean, found.mean)
        rows.append([first, second, f"{found.mean:+.4f}", f"{low:+.4f} to {high:+.4f}"])
    return rows if len(rows) > 1 else []


def _dice(runs: Sequence[Run], trials: Sequence[str]) -> tuple[list[float], list[str]]:
    """Of each image, the mean of all seeds, with its patient; arms have the same images in the same order."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for run in runs:
        for trial in trials:
            for row in run["trials"][trial]["images"]:
                if row["dice"] is not None:
                    values[trial, row["image"], row["patient"]].append(row["dice"])
    names = sorted(values)
    return [float(np.mean(values[name])) for name in names], [patient for _, _, patient in names]
