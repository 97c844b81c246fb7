"""Look for what would silently spoil a result before anybody trains on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leanseg.data.dataset import SPLITS, Case, Dataset, command, size_text
from leanseg.data.inspection import Finding, Inspection, inspect_case
from leanseg.data.pairing import index
from leanseg.data.splits import judged_patients, shared_patients
from leanseg.errors import InputError

FEW_PATIENTS = 5
"""With fewer, no part of a split says anything about other patients."""


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """The outcome of a check.

    Args:
        errors: results would be wrong, or training fails.
        warnings: worth a look.
        facts: what is there: name and number of things, ready to print.
    """

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        plain: dict[str, Any] = {"ok": self.ok, "facts": self.facts}
        for level in ("errors", "warnings"):
            plain[level] = [{**asdict(finding), "file": str(finding.file)} for finding in getattr(self, level)]
        return plain


def check_dataset(dataset: Dataset, *, threads: int = 4, advance: Callable[[], None] | None = None) -> CheckReport:
    """Read every image and mask of a data set and report what is wrong with them.

    Args:
        dataset: an opened data set.
        threads: images that are read at the same time.
        advance: called after each image, for a progress bar.

    Example:
        >>> CheckReport(errors=(), warnings=()).ok
        True
    """

    def inspect(case: Case) -> Inspection:
        inspection = inspect_case(dataset, case)
        if advance:
            advance()
        return inspection

    with ThreadPoolExecutor(threads) as pool:
        inspections = list(pool.map(inspect, (*dataset.cases, *dataset.unlabelled)))
    found = [finding for inspection in inspections for finding in inspection.findings]
    found += [
        *_leaks(dataset),
        *_duplicates(inspections),
        *_leftovers(dataset),
        *_numbers(dataset, inspections),
    ]
    return CheckReport(
        errors=tuple(finding for finding in found if finding.error),
        warnings=tuple(finding for finding in found if not finding.error),
        facts=_facts(dataset, inspections),
    )


def _leaks(dataset: Dataset) -> list[Finding]:
    remedy = f"{command('split', dataset.root)} --replace"
    found = []
    for first, second in shared_patients(dataset.cases):
        where = f"{first.split} ({first.stem}) and {second.split} ({second.stem})"
        found.append(Finding(second.image[0], "patient-leak", f"patient {first.patient!r} is in {where}", remedy))
    for case, other in judged_patients(dataset.cases, dataset.unlabelled):
        msg = f"patient {case.patient!r} of the {other.split} split is among the unlabelled images"
        found.append(Finding(case.image[0], "patient-leak", msg, "take it out of unlabelled/", error=False))
    return found


def _duplicates(inspections: Sequence[Inspection]) -> list[Finding]:
    same: dict[str, list[Case]] = defaultdict(list)
    for inspection in inspections:
        if inspection.digest:
            same[inspection.digest].append(inspection.case)
    found = []
    for first, *others in same.values():
        for other in others:
            splits = [case.split or ("unlabelled" if not case.masks else "no split") for case in (first, other)]
            msg = f"the same pixels as {first.stem} ({splits[0]}, here {splits[1]})"
            spoils = (splits[0] != splits[1] and "test" in splits) or {*splits} == {"train", "val"}
            found.append(Finding(other.image[0], "duplicate", msg, "keep one of them", error=spoils))
    return found


def _leftovers(dataset: Dataset) -> list[Finding]:
    """Masks that belong to no image, and images in images/ that have no mask."""
    root, found = dataset.root, []
    used = {path for case in dataset.cases for path in case.masks}
    # splits.csv may take the mask of an image away; then both lack their other half on purpose.
    bare = {case.stem: case for case in dataset.unlabelled if (root / "images") in case.image[0].parents}
    for folder in filter(Path.is_dir, (root / "masks", *(root / "masks" / name for name in dataset.classes.names))):
        try:
            files = index(folder)
        except InputError as error:
            found.append(Finding(folder, "same-stem", error.message, ""))
            continue
        for stem, path in files.items():
            if path not in used and not bare.pop(stem, None):
                what, remedy = "no image has this stem", "add the image or remove it"
                found.append(Finding(path, "mask-without-image", what, remedy, error=False))
    for case in bare.values() if dataset.cases else ():
        what = "no mask has this stem"
        found.append(Finding(case.image[0], "image-without-mask", what, "move it to unlabelled/", error=False))
    return found


def _numbers(dataset: Dataset, inspections: Sequence[Inspection]) -> list[Finding]:
    """Findings about the data set as a whole."""
    found = []
    root, cases = dataset.root, dataset.cases
    channels = sorted({inspection.channels for inspection in inspections if inspection.channels})
    if len(channels) > 1:
        odd = min(channels, key=[i.channels for i in inspections].count)
        example = next(i.case.image[0] for i in inspections if i.channels == odd)
        msg = f"some images have {' and others '.join(map(str, channels))} channels"
        found.append(Finding(example, "mixed-channels", msg, "save all as grey or all as RGB", error=False))
    patients = len({case.patient for case in cases})
    if patients < FEW_PATIENTS:
        msg = f"{patients} patients: scores will say little about others"
        found.append(Finding(root, "few-patients", msg, "prefer cross-validation, or add patients", error=False))
    labelled = [inspection for inspection in inspections if inspection.shares]
    for number, name in enumerate(dataset.classes.names):
        if labelled and not any(inspection.shares[number] for inspection in labelled):
            found.append(Finding(root, "absent-class", f"no mask shows {name}", "correct [classes]"))
    if not cases:
        found.append(Finding(root, "no-masks", "no image has a mask", "add masks/ to train on them", error=False))
    return found


def _facts(dataset: Dataset, inspections: Sequence[Inspection]) -> dict[str, str]:
    facts = {key: text for key in ("name", "modality", "licence") if (text := getattr(dataset, key))}
    cases = dataset.cases
    facts["images"] = f"{len(cases)} with masks, {len(dataset.unlabelled)} without"
    facts["patients"] = str(len({case.patient for case in cases}))
    if sites := sorted({case.site for case in cases if case.site}):
        facts["sites"] = ", ".join(sites[:6])
    parts = [(split, dataset.subset(split)) for split in SPLITS]
    shown = [f"{s} {len(part)} ({len({c.patient for c in part})} patients)" for s, part in parts if part]
    facts["split"] = ", ".join(shown) or "none given; training makes one by patient"
    if shapes := sorted({inspection.shape for inspection in inspections if inspection.shape}):
        facts["size"] = size_text(shapes[0]) + (f" to {size_text(shapes[-1])}" if len(shapes) > 1 else "")
    facts["channels"] = ", ".join(dataset.channels) or " or ".join(sorted({str(i.channels) for i in inspections}))
    labelled = [inspection.shares for inspection in inspections if inspection.shares]
    for number, name in enumerate(dataset.classes.names):
        if labelled:
            mean = sum(shares[number] for shares in labelled) / len(labelled)
            empty = sum(not shares[number] for shares in labelled)
            facts[name] = f"{100 * mean:.2f} % of the pixels, absent from {empty} of {len(labelled)} masks"
    return facts
