"""Tables beyond the mean Dice: every structure by itself, and wrong labels that were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import cost_key
from leanseg.metrics.intervals import bootstrap_mean

SURFACES = (("hd95", "HD95"), ("asd", "ASD"))

CURVE = "validation"
"""In a run's record: the validation Dice after each epoch with labels."""

EPOCHS = (1, 2, 3, 5, 10)
"""With labels, that a table of curves shows."""

Run = Mapping[str, Any]


def structures(arms: Mapping[str, Sequence[Run]], trial: str) -> list[list[str]]:
    """Head and rows: Dice with interval and the surface distances of each class, seeds averaged image by image; no rows
    where there is one class."""
    names = list(dict.fromkeys(row["class"] for row in next(iter(arms.values()))[0]["trials"][trial]["images"]))
    if len(names) < 2:
        return []
    rows = [["arm", *names]]
    for arm, runs in arms.items():
        cells = [arm]
        for name in names:
            dice, patients = _of_class(runs, trial, name, "dice")
            found = bootstrap_mean(dice, groups=patients)
            low, high = found.interval or (found.mean, found.mean)
            distances = [f"{title} {np.mean(_of_class(runs, trial, name, score)[0]):.1f}" for score, title in SURFACES]
            cells.append(f"{found.mean:.3f}<br><small>{low:.3f} to {high:.3f}<br>{', '.join(distances)}</small>")
        rows.append(cells)
    return rows


def _of_class(runs: Sequence[Run], trial: str, name: str, score: str) -> tuple[list[float], list[str]]:
    values: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for row in run["trials"][trial]["images"]:
            if row["class"] == name:
                values.setdefault((row["image"], row["patient"]), []).append(row[score])
    return [float(np.mean(some)) for some in values.values()], [patient for _, patient in values]


def curves(arms: Mapping[str, Sequence[Run]]) -> list[list[str]]:
    """Head and rows: the mean validation Dice after some epochs with labels; no rows where no arm kept it."""
    kept = {arm: [run[CURVE] for run in runs if CURVE in run] for arm, runs in arms.items()}
    kept = {arm: some for arm, some in kept.items() if some}
    if not kept:
        return []
    steps = {run["options"]["epoch_steps"] for runs in arms.values() for run in runs if CURVE in run}
    (each,) = steps
    rows = [["arm", *(f"{each * epoch:,} steps" for epoch in EPOCHS)]]
    for arm, some in kept.items():
        long = min(map(len, some))
        means = [f"{np.mean([one[epoch - 1] for one in some]):.3f}" if epoch <= long else "" for epoch in EPOCHS]
        rows.append([arm, *means])
    return rows


def label_errors(arms: Mapping[str, Sequence[Run]]) -> list[list[str]]:
    """Head and rows: how well wrong labels were found; no rows where no arm looked for them."""
    looking = {arm: runs for arm, runs in arms.items() if "label_errors" in runs[0]}
    if not looking:
        return []
    first = next(iter(arms.values()))
    cost = cost_key([*first, *(run for runs in looking.values() for run in runs)])
    plain = {run["seed"]: run[cost] for run in first}
    rows = [["arm", "AUROC of P(wrong)", "Brier score", "wrong pixels", "expected", "wrong after correction",
             "time beside the first arm"]]  # fmt: skip
    for arm, runs in looking.items():
        found = [run["label_errors"] for run in runs]
        mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        ratios = [run[cost] / plain[run["seed"]] for run in runs if run["seed"] in plain]
        counts = ("wrong_pixels", "expected_wrong_pixels", "wrong_pixels_of_corrected_labels")
        rows.append([arm, f"{mean['auroc']:.3f}", f"{mean['brier']:.4f}", *(f"{mean[key]:,.0f}" for key in counts),
                     f"x {np.median(ratios):.2f}"])  # fmt: skip
    return rows
