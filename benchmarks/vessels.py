"""Trains the bundled model ``vessels`` on three openly licensed sets and measures it on cameras it never saw.

    python benchmarks/vessels.py --chase DIR --hrf DIR --fives DIR --drive DIR --work DIR

The folders hold what was downloaded. Three trainings leave one camera out each and are scored on it; the fourth sees
all three cameras, is scored on DRIVE, and becomes the model (``--ship`` copies it into the package).
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import Results, Trial, run_facts, score, train
from leanseg.bundle import read_bundle
from leanseg.data.dataset import Case
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import split_cases, write_splits

SETS = {"chase": "chase-db1", "hrf": "hrf", "fives": "fives", "drive": "drive"}
OPEN = ("chase", "hrf", "fives")
RECIPE: dict[str, Any] = {
    "field_of_view": "fundus",
    "diameter": 640,
    "balance_sites": True,
    "epochs": 20,
    "threads": 1,
    "licence": "cc-by-4.0",
    "augment": {
        "rotation": 180, "scale": 1.5, "warped": 0.75, "gain": 0.2, "offset": 0.3, "gamma": 0.3, "noise": 0.15,
        "blur": 1.2, "shade": 0.3, "mix": 0.5,
    },
}  # fmt: skip


def joined(sources: list[Path], out: Path) -> Path:
    """One data set of several cameras, a fifth of the patients of each kept for validation."""
    if (out / "dataset.toml").is_file():
        return out
    for folder in ("images", "masks", "valid"):
        (out / folder).mkdir(parents=True)
    cases: list[Case] = []
    for source in sources:
        dataset = open_dataset(source)
        for case in dataset.cases:
            stem = f"{source.name}-{case.stem}"
            shutil.copy(case.image[0], out / "images" / f"{stem}{case.image[0].suffix}")
            shutil.copy(case.masks[0], out / "masks" / f"{stem}{case.masks[0].suffix}")
            if case.valid:
                shutil.copy(case.valid, out / "valid" / f"{stem}{case.valid.suffix}")
            cases.append(replace(case, stem=stem, patient=f"{source.name}-{case.patient}", site=source.name))
    write_splits(split_cases(cases, fractions=(0.8, 0.2, 0)), out / "splits.csv")
    text = 'name = "{}"\nmodality = "fundus photograph"\nlicence = "CC BY 4.0"\n\n[classes]\n255 = "vessel"\n'
    (out / "dataset.toml").write_text(text.format(" + ".join(source.name for source in sources)))
    return out


def main() -> None:
    """Prepare, train, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"downloaded {SETS[name]}")
    parser.add_argument("--work", type=Path, default=Path("runs/vessels"))
    parser.add_argument("--ship", action="store_true", help="copy the model into the package")
    given = parser.parse_args()
    data = {name: given.work / "data" / name for name in SETS}
    for name, folder in data.items():
        if not folder.exists():
            public_set(SETS[name]).convert(getattr(given, name), folder)
    results = Results("vessels")
    for left_out in (None, *OPEN):
        arm = f"without {left_out}" if left_out else "all cameras"
        if results.holds(arm, 0):
            continue
        sources = [data[name] for name in OPEN if name != left_out]
        pool = joined(sources, given.work / "data" / f"pool-{left_out or 'all'}")
        run = given.work / f"run-{left_out or 'all'}"
        bundle = read_bundle(train(pool, run, RECIPE, 0))
        unseen = data[left_out] if left_out else data["drive"]
        trials = [
            Trial(name=f"{unseen.name}, flips" if flips else unseen.name, data=unseen, flips=flips,
                  split="all" if left_out else "test")
            for flips in (False, True)
        ]  # fmt: skip
        scores = {trial.name: score(bundle, trial) for trial in trials}
        results.add({"arm": arm, "seed": 0, "options": RECIPE, "note": "", **run_facts(run), "trials": scores})
    if given.ship:
        zoo = Path(__file__).parents[1] / "src" / "leanseg" / "zoo" / "vessels"
        shutil.copytree(given.work / "run-all" / "model", zoo, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
