"""Each site in turn is left out of the training: do style noise, changes of appearance, or state-space scans help?

    python benchmarks/domain_generalisation.py --set polyps --downloads DIR --work DIR
    python benchmarks/domain_generalisation.py --set vessels --downloads DIR --work DIR
    python benchmarks/domain_generalisation.py --set skin --downloads DIR --work DIR

Whole images at 128 pixels, 600 steps of six crops (polyps 400), every arm alike; a step of the full method sees every
crop twice. Vessels at a field of view of 256 pixels in crops of 128. CVC-EndoSceneStill joins frames of ClinicDB and
ColonDB, which hashes do not find: it is in no training, and where it is left out, neither are those two. Images that
nearly equal one of the site that is left out are dropped as well. Checkpoint and threshold come from validation images
of the other sites; the site that is left out is opened once, for the scores.

Stated before running. Disturbing style or appearance is above plain training on unseen sites, by a few points where the
shift is one of intensity, and level with it on sites that are known. No difference is found between disturbing a window
and the whole sequence, nor between scans and their twin without; random changes of appearance are at least as good as
learnt ones.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import bmat, coo_array
from scipy.sparse.csgraph import connected_components

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
LEARNT = disturbed(appearance="gva", agreement="logits")
ARMS: dict[str, dict[str, Any]] = {
    "U-Net": UNET,
    "U-Net, strong intensity augmentation": {**UNET, "augment": STRONG},
    "U-Net, token style": {**UNET, **STYLE},
    "U-Net, full mamba-sea": {**UNET, **FULL},
    "vm-unet": SCANS,
    "vm-unet, whole-sequence style": {**SCANS, **WHOLE},
    "vm-unet, window style": {**SCANS, **STYLE},
    "vm-unet, full mamba-sea": {**SCANS, **FULL},
    "vm-unet, full with learnt appearance": {**SCANS, **LEARNT},
    "vm-unet without scans, full mamba-sea": {**TWIN, **FULL},
}
PAIRS = (
    ("U-Net, strong intensity augmentation", "U-Net"),
    ("U-Net, token style", "U-Net"),
    ("U-Net, full mamba-sea", "U-Net, strong intensity augmentation"),
    ("vm-unet", "U-Net"),
    ("vm-unet, window style", "vm-unet"),
    ("vm-unet, window style", "vm-unet, whole-sequence style"),
    ("vm-unet, full mamba-sea", "vm-unet, window style"),
    ("vm-unet, full mamba-sea", "vm-unet, full with learnt appearance"),
    ("vm-unet, full mamba-sea", "vm-unet without scans, full mamba-sea"),
    ("vm-unet, full mamba-sea", "U-Net, full mamba-sea"),
    ("Mini-Net, strong intensity augmentation", "Mini-Net"),
    ("Mini-Net, full mamba-sea", "Mini-Net"),
    ("Mini-Net, full mamba-sea", "Mini-Net, strong intensity augmentation"),
)
"""Which arm stands against which, on images of all sites that neither has seen."""
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
        joint: a site that is made of images of others, with these; it is never learnt from, nor they where it is
            left out.
    """

    sites: Mapping[str, tuple[str, str]]
    arms: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    patch: int = 4
    heading: str
    joint: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def known(self, site: str) -> list[str]:
        """The sites that are learnt from where one is left out."""
        return [name for name in self.sites if name not in (site, *self.joint, *self.joint.get(site, ()))]


DOMAINS = {
    "polyps": Domain(
        sites={
            "Kvasir-SEG": ("kvasir-seg", "Polyps/Kvasir-SEG"),
            "EndoScene": ("cvc-endoscene", "Polyps/CVC-EndoSceneStill"),
            "ColonDB": ("cvc-colondb", "Polyps/CVC-ColonDB"),
            "ClinicDB": ("cvc-clinicdb", "Polyps/CVC-ClinicDB"),
        },
        arms=ARMS,
        options={"longest": 128, "epochs": 2},
        heading='modality = "endoscopy"\n\n[classes]\n255 = "polyp"\n',
        joint={"EndoScene": ("ClinicDB", "ColonDB")},
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
    results.content["pairs"] = [pair for pair in PAIRS if set(pair) <= domain.arms.keys()]
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
    texts, numbers = ("image", "patient", "site", "class"), ("dice", "hd95", "auroc")
    found = []
    for row in rows:
        values = {name: float(row[name]) if row[name] else None for name in numbers}
        found.append({**{name: row[name] for name in texts}, **values})
    return found


def left_out(site: str) -> str:
    """The folder of the data and of the runs without a site."""
    return f"without-{site}".replace(" ", "-")


def _without(site: str, domain: Domain, downloads: Path, work: Path) -> Path:
    """The sites joined, less what the one that will be left out shows as well."""
    out = work / left_out(site)
    if out.exists():
        return out
    sources = []
    for name, (public, folder) in domain.sites.items():
        source = work / "sites" / name.replace(" ", "-")
        if not source.exists():
            public_set(public).convert(downloads / folder, source)
        if name in (site, *domain.known(site)):
            sources.append(source)
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    joined(sources, part)
    (part / "dataset.toml").write_text(f'name = "{site} left out"\n{domain.heading}', encoding="utf-8")
    names = {name.replace(" ", "-"): name for name in domain.sites}
    cases = [replace(case, split="", site=names[case.site]) for case in open_dataset(part).cases]
    write_splits(_kept(cases, site, part) if domain.joint else cases, part / "splits.csv")
    part.rename(out)
    return out


def _kept(cases: Sequence[Case], site: str, data: Path) -> list[Case]:
    """Patients of whom two images are nearly the same count as one; near-duplicates of a left-out image are deleted."""
    dataset = open_dataset(data)
    groups = near_duplicates([dataset.read_image(case).pixels for case in cases])
    tested = {group for group, case in zip(groups, cases, strict=True) if case.site == site}
    kept = []
    for group, case in zip(groups, cases, strict=True):
        if group in tested and case.site != site:
            for file in (*case.image, *case.masks):
                file.unlink()
        else:
            kept.append((group, case))
    people = list(dict.fromkeys(case.patient for _, case in kept))
    links = coo_array(
        (np.ones(len(kept)), ([group for group, _ in kept], [people.index(case.patient) for _, case in kept])),
        shape=(max(groups) + 1, len(people)),
    )
    both = bmat([[None, links], [links.T, None]])
    numbers = connected_components(both, directed=False)[1]
    return [replace(case, patient=f"person-{numbers[group]}") for group, case in kept]


if __name__ == "__main__":
    main()
