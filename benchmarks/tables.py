"""Turns ``benchmarks/results/*.json`` into the tables that the documentation includes.

    python benchmarks/tables.py

A comparison that was not run yet gets a page that says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from details import curves, label_errors, structures
from domain_tables import over_sites, side_by_side
from harness import cost_key
from instance_tables import instance_page
from leanseg.images.atomic import replacing
from leanseg.metrics.intervals import Estimate, bootstrap_mean, compare
from lesion_tables import lesion_page
from markdown_table import markdown_table
from quality_sets import SOURCES
from quality_tables import pages as quality_pages
from speed_tables import browser_page, network_pages, scan_page, start_up_page, training_speed_page
from zoo_tables import zoo_page

RESULTS = Path(__file__).parent / "results"
PAGES = Path(__file__).parents[1] / "docs" / "_generated"
PICTURES = Path(__file__).parents[1] / "docs" / "images"
TRAININGS = {
    **{name: name for name in ("mini_net_drive", "mini_net_chase", "mini_net_transfer", "vessel_baselines", "vessels")},
    "mini_net_isic2017": "mini_net_modalities",
    "mini_net_monuseg": "mini_net_modalities",
    "wt_bcp_acdc_3": "wt_bcp_acdc",
    "wt_bcp_acdc_7": "wt_bcp_acdc",
    **{f"supercl_{name}_{share}": "supercl" for name in ("jsrt", "isic2017") for share in (4, 8, 10)},
    **{
        f"spatial_label_noise_{name}_{level}": "spatial_label_noise"
        for name in ("jsrt", "isic2017")
        for level in ("mild", "moderate", "heavy")
    },
    **{
        f"med2d_segnet_{name}": "med2d_segnet"
        for name in ("polyps", "polyps_curve", "skin", "nuclei", "chest", "heart")
    },
    **{f"domain_generalisation_{name}": "domain_generalisation" for name in ("polyps", "vessels", "skin")},
}
"""Results and the script that makes them."""
EXTRA = (("auroc", "AUROC", 4), ("cl_dice", "clDice", 4), ("ece", "ECE", 4))
OBJECTS = (("jaccard", "IoU", 4), ("hd95", "HD95 (pixels)", 1), ("ece", "ECE", 4))
EXTRAS = {"med2d_segnet": OBJECTS, "domain_generalisation": (("hd95", "HD95 (pixels)", 1), ("auroc", "AUROC", 4))}
"""Further columns of a script's tables: score, title, digits."""
MINUTES = {"seconds": "minutes", "processor_seconds": "minutes of processor time"}

Run = Mapping[str, Any]
Extra = Sequence[tuple[str, str, int]]


def main() -> None:
    """Write every page."""
    for name, script in TRAININGS.items():
        _write(name, training_page(_read(name), script))
    _write("metrics_speed", speed_page(_read("metrics_speed")))
    _write("quality_cost", cost_page(_read("quality_cost")))
    _write("browser", browser_page(_read("browser")))
    _write("selective_scan", scan_page(_read("selective_scan")))
    _write("training_speed", training_speed_page(_read("training_speed")))
    _write("start_up", start_up_page(_read("start_up")))
    for name, text in network_pages(_read("speed"), picture=PICTURES / "speed.svg").items():
        _write(name, text)
    _write("pareto", pareto_page(_read("pareto")))
    for name in ("instances_monuseg", "instances_dsb2018"):
        _write(name, instance_page(_read(name)))
    _write("dr_lesions", lesion_page(_read("dr_lesions")))
    _write("zoo", zoo_page({name: _read(f"zoo_{name}") for name in ("nuclei", "skin_lesion", "hard_exudates")}))
    for name, text in quality_pages({name: _read(f"quality_{name}") for name in SOURCES}).items():
        _write(name, text)


def training_page(content: Mapping[str, Any] | None, script: str) -> str:
    """One table for each trial: arms below each other, seeds averaged image by image, with the range of their means."""
    if content is None or not content["runs"]:
        return f"*Not run yet: `make bench NAME={script}`.*\n"
    runs: Sequence[Run] = content["runs"]
    trials = dict.fromkeys(trial for run in runs for trial in run["trials"])
    blocks = [_trial(runs, trial, EXTRAS.get(script, EXTRA)) for trial in trials]
    closer = [
        ("All sites that were left out", over_sites(runs)),
        ("Side by side, on images of all sites that were left out", side_by_side(runs, content.get("pairs", ()))),
    ]
    closer += [
        ("Every structure: Dice; HD95 and ASD in pixels", structures(_by_arm(runs, trial), trial)) for trial in trials
    ]
    arms = _by_arm(runs, next(iter(trials)))
    closer.append(("Wrong training labels", label_errors(arms)))
    closer.append(("Validation Dice after so many steps with labels", curves(arms)))
    blocks += [_table(title, rows) for title, rows in closer if rows]
    machines = sorted({f"{run['machine']['cpu']}, {run['machine']['cores']} cores" for run in runs})
    commits = sorted({run["commit"] for run in runs})
    source = f"Made by `benchmarks/{script}.py` on {'; '.join(machines)}; commit {', '.join(commits)}."
    return "\n\n".join([*blocks, " ".join([*content.get("remarks", ()), source])]) + "\n"


def _by_arm(runs: Sequence[Run], trial: str) -> dict[str, list[Run]]:
    arms: dict[str, list[Run]] = defaultdict(list)
    # What needs no training comes last: the first arm is the one that others stand beside.
    for run in sorted(runs, key=lambda run: run["parameters"] == 0):
        if trial in run["trials"]:
            arms[run["arm"]].append(run)
    return arms


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"**{title}**\n\n{markdown_table(*rows)}"


def _trial(runs: Sequence[Run], trial: str, extra: Extra) -> str:
    arms = _by_arm(runs, trial)
    cost = cost_key([run for some in arms.values() for run in some if run["parameters"] > 0])
    head = ["arm", "parameters", MINUTES[cost], "seeds", "Dice, 95 % interval", "beside the first arm alike"]
    head += [title for _, title, _ in extra]
    firsts: dict[str, list[Run]] = {}
    rows = []
    for arm, some in arms.items():
        first = firsts.setdefault(some[0].get("note", ""), some)
        rows.append(_cells(arm, some, trial, first, extra, cost))
    kept = [number for number in range(len(head)) if any(row[number] for row in rows)]
    return _table(f"{trial[:1].upper()}{trial[1:]}", [[row[n] for n in kept] for row in (head, *rows)])


def _cells(arm: str, runs: Sequence[Run], trial: str, first: Sequence[Run], extra: Extra, cost: str) -> list[str]:
    patients = _patients(runs, trial)
    means = [np.mean(list(_per_image([run], trial, "dice").values())) for run in runs]
    trained = runs[0]["parameters"] > 0
    seeds = str(len(runs)) + (_small(f"{min(means):.4f} to {max(means):.4f}") if len(runs) > 1 else "")
    note = runs[0].get("note", "")
    return [
        arm + (_small(note) if note else ""),
        f"{runs[0]['parameters']:,}" if trained else "",
        f"{np.mean([run[cost] for run in runs]) / 60:.1f}" if trained else "",
        seeds,
        _interval(_dice(runs, trial)),
        _difference(runs, first, trial, patients) if trained and runs is not first else "",
        *(_mean(_per_image(runs, trial, score), digits) for score, _, digits in extra),
    ]


def _patients(runs: Sequence[Run], trial: str) -> dict[str, str]:
    return {row["image"]: row["patient"] for run in runs for row in run["trials"][trial]["images"]}


def _dice(runs: Sequence[Run], trial: str) -> Estimate:
    patients, dice = _patients(runs, trial), _per_image(runs, trial, "dice")
    return bootstrap_mean(list(dice.values()), groups=[patients[image] for image in dice])


def dice_of(runs: Sequence[Run], trial: str) -> list[float]:
    """The mean Dice of an arm, as in its table, and both ends of the interval."""
    found = _dice(runs, trial)
    return [found.mean, *(found.interval or (found.mean, found.mean))]


def _per_image(runs: Sequence[Run], trial: str, score: str) -> dict[str, float]:
    """The score of each image, the mean of its classes and of all seeds; images without the score are left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for row in run["trials"][trial]["images"]:
            if row.get(score) is not None:
                values[row["image"]].append(row[score])
    return {image: float(np.mean(some)) for image, some in sorted(values.items())}


def _difference(runs: Sequence[Run], first: Sequence[Run], trial: str, patients: Mapping[str, str]) -> str:
    """Of the seeds that both arms have, image by image."""
    seeds = {run["seed"] for run in runs} & {run["seed"] for run in first}
    dice, other = (_per_image([r for r in some if r["seed"] in seeds], trial, "dice") for some in (runs, first))
    shared = [image for image in dice if image in other]
    if not shared:
        return ""
    found = compare([dice[i] for i in shared], [other[i] for i in shared], groups=[patients[i] for i in shared])
    return _interval(found.difference, sign="+")


def _interval(estimate: Any, *, sign: str = "") -> str:
    mean = f"{estimate.mean:{sign}.4f}"
    if not estimate.interval:
        return mean
    low, high = (f"{end:{sign}.4f}" for end in estimate.interval)
    return mean + _small(f"{low} to {high}")


def _small(text: str) -> str:
    return f"<br><small>{text}</small>"


def _mean(values: Mapping[str, float], digits: int) -> str:
    return f"{np.mean(list(values.values())):.{digits}f}" if values else ""


def speed_page(content: Mapping[str, Any] | None) -> str:
    """Milliseconds beside MONAI's."""
    if content is None:
        return "*Not run yet: `make bench NAME=metrics_speed`.*\n"
    head = ["masks", "HD95: leanseg", "MONAI", "times faster", "all surface scores: leanseg", "MONAI", "times faster"]
    rows = []
    for name, case in content["cases"].items():
        pairs = [case["hd95_median"], case["all_median"]]
        cells = [(f"{p['leanseg_ms']:.1f} ms", f"{p['monai_ms']:.1f} ms", f"{p['ratio']:.1f}") for p in pairs]
        rows.append([name, *cells[0], *cells[1]])
    monai = content["versions"]["monai"]["monai"]
    made = f"Medians on {content['machine']['cpu']} with one thread each, beside MONAI {monai}; made by "
    made += f"`benchmarks/metrics_speed.py` at commit {content['commit'][:7]}."
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}\n"


def cost_page(content: Mapping[str, Any] | None) -> str:
    """What judging a mask takes beside segmenting it."""
    if content is None:
        return "*Not run yet: `make bench NAME=quality_cost`.*\n"
    (run,) = content["runs"]
    size = " x ".join(map(str, run["pixels"]))
    text = f"On a photograph of {size} pixels it takes {run['share_of_the_rest']:.0%} of what the bundled model takes"
    return f"{text} without it (one thread, `benchmarks/quality_cost.py`, commit {run['commit']}).\n"


def pareto_page(content: Mapping[str, Any] | None) -> str:
    """What networks cost beside what they score on each set, and the picture of it."""
    if content is None:
        return "*Not run yet: `make bench NAME=pareto`.*\n"
    (run,) = content["runs"]
    sets = run["sets"]
    head = ["network", "parameters", "milliseconds", "in torch, not folded", "memory (MiB)"]
    head += [f"Dice, {name}" for name in sets]
    rows = []
    for net in run["nets"]:
        cost = [f"{net['parameters']:,}", f"{net['milliseconds']:.1f}", f"{net['unfolded milliseconds']:.1f}"]
        points = [scores.get(net["name"]) for scores in sets.values()]
        dice = [f"{p[0]:.4f}" + _small(f"{p[1]:.4f} to {p[2]:.4f}") if p else "" for p in points]
        rows.append([net["name"], *cost, f"{net['bytes'] / 2**20:.0f}", *dice])
    size, cpu = f"{run['side']} x {run['side']} pixels", run["machine"]["cpu"]
    made = f"One image of {size}: processor time on one thread of {cpu}, medians of {run['repeats']}. Dice on the test "
    made += f"images of each set, with its interval. Made by `benchmarks/pareto.py`, commit {run['commit']}."
    shown = "![Dice of each set against parameters and against time](../images/med2d-segnet-pareto.svg)"
    return f"{shown}\n\n{markdown_table(head, *rows, numbers=True)}\n\n{made}\n"


def _read(name: str) -> Mapping[str, Any] | None:
    file = RESULTS / f"{name}.json"
    content: Mapping[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return content


def _write(name: str, text: str) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    with replacing(PAGES / f"{name}.md") as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
