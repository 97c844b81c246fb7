"""Each site in turn is left out of the training: do style noise, changes of appearance, or state-space scans help?

    python benchmarks/domain_generalisation.py --set polyps --downloads DIR --work DIR
    python benchmarks/domain_generalisation.py --set vessels --downloads DIR --work DIR
    python benchmarks/domain_generalisation.py --set skin --downloads DIR --work DIR

Whole images at 128 pixels, 600 steps of six crops, every arm alike; vessels at a field of view of 256 pixels in crops
of 128. Images that nearly equal one of the site that is left out are dropped from the others first. Checkpoint and
threshold come from validation images of the other sites; the site that is left out is opened once, for the scores.

Stated before running. Disturbing style or appearance is above plain training on unseen sites, by a few points where the
shift is one of intensity, and level with it on sites that are known. No difference is found between disturbing a window
and the whole sequence, nor between scans and their twin without; random changes of appearance are at least as good as
learnt ones.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import Arm, Results, run_facts, train
from leanseg.data.dataset import Case
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import write_splits
from near_duplicates import near_duplicates
from vessels import joined

RECIPE: dict[str, Any] = {
    "epochs": 3, "epoch_steps": 200, "batch": 6, "crop": 128, "threads": 1, "precision": "32-true", "snapshots": 0,
    "balance_sites": True, "baseline": False,
}  # fmt: skip
STRONG = {"gain": 0.2, "offset": 0.3, "gamma": 0.35, "shade": 0.3, "noise": 0.1, "blur": 1.0}

UNET: dict[str, Any] = {"net": "unet", "net_keywords": {"widths": [6, 12, 24, 48, 96], "up": "nearest-conv"}}
SCANS: dict[str, Any] = {"net": "vm-unet", "net_keywords": {"mixer": "ssd"}}
TWIN: dict[str, Any] = {"net": "vm-unet", "net_keywords": {"mixer": "none", "depths": 2}}
MINI: dict[str, Any] = {"net": "mini-net"}


def disturbed(**keywords: Any) -> dict[str, Any]:
    """Options of the method with parts of it."""
    return {"method": "mamba-sea", "method_keywords": keywords}


STYLE = disturbed(appearance="none")
WHOLE = disturbed(appearance="none", style_window=1.0)
FULL = disturbed()
ARMS: dict[str, dict[str, Any]] = {
    "U-Net": UNET,
    "U-Net, strong intensity augmentation": {**UNET, "augment": STRONG},
    "U-Net, token style": {**UNET, **STYLE},
    "vm-unet": SCANS,
    "vm-unet, whole-sequence style": {**SCANS, **WHOLE},
    "vm-unet, window style": {**SCANS, **STYLE},
    "vm-unet, full mamba-sea": {**SCANS, **FULL},
    "vm-unet without scans, full mamba-sea": {**TWIN, **FULL},
}
MINI_ARMS: dict[str, dict[str, Any]] = {
    "Mini-Net": MINI,
    "Mini-Net, strong intensity augmentation": {**MINI, "augment": STRONG},
    "Mini-Net, full mamba-sea": {**MINI, **FULL},
}


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Sites that show the same.

    Args:
        sites: public set and its folder below the downloads, by the site's name.
        arms: what is compared.
        options: of every training.
        patch: side of the patches of vm-unet.
        heading: of the data set's description.
    """

    sites: Mapping[str, tuple[str, str]]
    arms: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    patch: int = 4
    heading: str


DOMAINS = {
    "polyps": Domain(
        sites={
            "Kvasir-SEG": ("kvasir-seg", "Polyps/Kvasir-SEG"),
            "EndoScene": ("cvc-endoscene", "Polyps/CVC-EndoSceneStill"),
            "ColonDB": ("cvc-colondb", "Polyps/CVC-ColonDB"),
            "ClinicDB": ("cvc-clinicdb", "Polyps/CVC-ClinicDB"),
        },
        arms=ARMS,
        options={"longest": 128},
        heading='modality = "endoscopy"\n\n[classes]\n255 = "polyp"\n',
    ),
    "vessels": Domain(
        sites={
            "DRIVE": ("drive", "DRIVE"),
            "CHASE_DB1": ("chase-db1", "CHASE_DB1"),
            "HRF": ("hrf", "HRF_4"),
            "FIVES": ("fives", "FIVES_7"),
        },
        arms=MINI_ARMS,
        options={"field_of_view": "fundus", "diameter": 256},
        patch=2,
        heading='modality = "fundus photograph"\n\n[classes]\n255 = "vessel"\n',
    ),
    "skin": Domain(
        sites={"ISIC 2017": ("isic2017", "ISIC2017"), "PH2": ("ph2", "PH2_60")},
        arms=MINI_ARMS,
        options={"longest": 128},
        heading='modality = "dermoscopy"\n\n[classes]\n255 = "lesion"\n',
    ),
}


def main() -> None:
    """Join the sites, train what is missing, keep the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=DOMAINS, required=True)
    parser.add_argument("--downloads", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/domain_generalisation"))
    given = parser.parse_args()
    domain, work = DOMAINS[given.set], given.work / given.set
    folders = {site: _without(site, domain, given.downloads, work) for site in domain.sites}
    results = Results(f"domain_generalisation_{given.set}")
    for seed in (0, 1, 2):
        for name, options in domain.arms.items():
            if not results.holds(name, seed):
                arm = Arm(name=name, options={**RECIPE, **domain.options, **_patched(options, domain.patch)})
                results.add(_run(arm, seed, folders, work))


def _patched(options: Mapping[str, Any], patch: int) -> dict[str, Any]:
    if options["net"] != "vm-unet":
        return dict(options)
    return {**options, "net_keywords": {**options["net_keywords"], "patch": patch}}


def _run(arm: Arm, seed: int, folders: Mapping[str, Path], work: Path) -> dict[str, Any]:
    """One training for each site that is left out; scores there, and on test images of the sites that were known."""
    trials: dict[str, Any] = {}
    times = {"seconds": 0.0, "processor_seconds": 0.0}
    for site, data in folders.items():
        run = work / f"{arm.name}-{seed}" / data.name
        train(data, run, {**arm.options, "leave_out": site}, seed)
        facts = run_facts(run)
        times = {name: sofar + facts[name] for name, sofar in times.items()}
        rows = _scores(run)
        trials[f"unseen: {site}"] = {"images": [row for row in rows if row["site"] == site]}
        trials[f"known, without {site}"] = {"images": [row for row in rows if row["site"] != site]}
    return {"arm": arm.name, "seed": seed, "options": dict(arm.options), "note": arm.note, **facts,
            **times, "trials": trials}  # fmt: skip


def _scores(run: Path) -> list[dict[str, Any]]:
    with (run / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts, numbers = ("image", "patient", "site"), ("dice", "hd95", "auroc")
    found = []
    for row in rows:
        values = {name: float(row[name]) if row[name] else None for name in numbers}
        found.append({**{name: row[name] for name in texts}, **values})
    return found


def left_out(site: str) -> str:
    """The folder of the data and of the runs without a site."""
    return f"without-{site}".replace(" ", "-")


def _without(site: str, domain: Domain, downloads: Path, work: Path) -> Path:
    """The sites joined, less the images of others that nearly equal one of the site that will be left out."""
    out = work / left_out(site)
    if (out / "splits.csv").is_file():
        return out
    sources = []
    for name, (public, folder) in domain.sites.items():
        source = work / "sites" / name.replace(" ", "-")
        if not source.exists():
            public_set(public).convert(downloads / folder, source)
        sources.append(source)
    joined(sources, out)
    (out / "dataset.toml").write_text(f'name = "{site} left out"\n{domain.heading}', encoding="utf-8")
    names = {source.name: name for source, name in zip(sources, domain.sites, strict=True)}
    cases = [replace(case, split="", site=names[case.site]) for case in open_dataset(out).cases]
    write_splits(_kept(cases, site, out) if "Kvasir-SEG" in domain.sites else cases, out / "splits.csv")
    return out


def _kept(cases: Sequence[Case], site: str, data: Path) -> list[Case]:
    """Near-duplicates count as one patient; those of a left-out image are deleted from the other sites."""
    dataset = open_dataset(data)
    groups = near_duplicates([dataset.read_image(case).pixels for case in cases])
    tested = {group for group, case in zip(groups, cases, strict=True) if case.site == site}
    kept = []
    for group, case in zip(groups, cases, strict=True):
        if group in tested and case.site != site:
            for file in (*case.image, *case.masks):
                file.unlink()
        else:
            kept.append(replace(case, patient=f"group-{group}"))
    return kept


if __name__ == "__main__":
    main()
