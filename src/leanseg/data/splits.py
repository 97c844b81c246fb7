"""Train, validation and test parts that never share a patient."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leanseg.data.dataset import SPLITS, Case
from leanseg.errors import InputError, UsageError
from leanseg.images.atomic import replacing

FILE = "splits.csv"

UNLABELLED = "unlabelled"
"""In the split column of splits.csv: the image is used without its mask."""

COLUMNS = ("stem", "split", "patient", "site")
SHARES = (0.7, 0.15, 0.15)


def split_cases(
    cases: Iterable[Case], *, fractions: tuple[float, float, float] = SHARES, seed: int = 0
) -> tuple[Case, ...]:
    """Put every patient into train, val or test anew; sites are spread evenly over the parts.

    Args:
        cases: labelled cases; splits that they have already are forgotten.
        fractions: shares of train, val and test counted in patients; numbers of patients such as (14, 3, 3) work too.
            Every part with a share above 0 gets at least one patient where there are enough.
        seed: another seed gives another split; the order of the cases plays no part.

    Returns:
        the same cases in the same order with their split.

    Raises:
        UsageError: no share is above 0, or one is negative.

    Example:
        >>> cases = [Case(stem=f"{p}{eye}", image=(), patient=str(p)) for p in range(10) for eye in "LR"]
        >>> parts = split_cases(cases, seed=1)
        >>> [sum(case.split == part for case in parts) for part in SPLITS]
        [14, 4, 2]
    """
    cases = tuple(cases)
    patients = _shuffled_patients(cases, seed)
    targets = _apportion(len(patients), fractions)
    part_of: dict[str, str] = {}
    taken = [0] * len(SPLITS)
    for i, patient in enumerate(patients, start=1):
        # The part furthest behind its share is next, so that every stretch of the list (a site) is shared out alike.
        behind = [targets[k] * i / len(patients) - taken[k] if taken[k] < targets[k] else -np.inf for k in range(3)]
        k = int(np.argmax(behind))
        taken[k] += 1
        part_of[patient] = SPLITS[k]
    return tuple(replace(case, split=part_of[case.patient]) for case in cases)


def complete_splits(
    cases: Iterable[Case], *, fractions: tuple[float, float, float] = SHARES, seed: int = 0
) -> tuple[Case, ...]:
    """Keep the splits that a data set gives and make what is missing.

    Nothing given: :func:`split_cases`. Train and test but no val: val is taken from train by patient. Otherwise the
    cases come back as they are; those without a split stay without.

    Args:
        cases: labelled cases.
        fractions: shares of train, val and test; for a val taken from train only the first two count.
        seed: of the random choice.

    Raises:
        InputError: one patient is in two of the given splits.

    Example:
        >>> given = [Case(stem=str(i), image=(), patient=str(i), split="train") for i in range(8)]
        >>> given += [Case(stem="t", image=(), patient="t", split="test")]
        >>> [case.split for case in complete_splits(given, fractions=(0.75, 0.25, 0))].count("val")
        2
    """
    cases = tuple(cases)
    check_leakage(cases)
    given = {case.split for case in cases if case.split}
    if given <= {"train"}:
        return split_cases(cases, fractions=fractions, seed=seed)
    if given != {"train", "test"}:
        return cases
    pool = [case for case in cases if case.split == "train"]
    divided = {case.stem: case for case in split_cases(pool, fractions=(fractions[0], fractions[1], 0), seed=seed)}
    return tuple(divided.get(case.stem, case) for case in cases)


def leave_out(cases: Iterable[Case], *, site: str, seed: int = 0) -> tuple[Case, ...]:
    """Make one site the test of a training on all others, as a new hospital would be.

    Every image of the site goes to the test split, whatever split it had. The other sites keep or get their splits by
    :func:`complete_splits`: their test images, too, are scored, as those of sites that are known.

    Args:
        cases: labelled cases.
        site: as in the ``site`` column.
        seed: of the splits of the others.

    Raises:
        UsageError: no such site, or no other.
        InputError: one patient was seen at this site and at another one.

    Example:
        >>> cases = [Case(stem=f"{s}{i}", image=(), patient=f"{s}{i}", site=s) for s in "ab" for i in range(5)]
        >>> [case.split for case in leave_out(cases, site="b") if case.site == "b"]
        ['test', 'test', 'test', 'test', 'test']
    """
    cases = tuple(cases)
    sites = sorted({case.site for case in cases} - {""})
    others = [case for case in cases if case.site != site]
    if site not in sites or not others:
        known = ", ".join(sites) or "none: give dataset.toml a site, or splits.csv a column 'site'"
        raise UsageError(f"--leave-out takes one of several sites; found {site!r}, the data set names {known}")
    kept = {case.stem: case for case in complete_splits(others, seed=seed)}
    divided = tuple(kept.get(case.stem) or replace(case, split="test") for case in cases)
    check_leakage(divided)
    return divided


def folds(cases: Iterable[Case], *, count: int = 5, seed: int = 0) -> list[tuple[tuple[Case, ...], tuple[Case, ...]]]:
    """Cross-validation: each patient is in the validation part of exactly one fold.

    Args:
        cases: the cases to divide; leave the test split out.
        count: number of folds.
        seed: of the random choice.

    Returns:
        (train, val) for each fold, with their ``split`` set.

    Raises:
        UsageError: there are fewer patients than folds, or fewer than two folds.

    Example:
        >>> cases = [Case(stem=str(i), image=(), patient=str(i)) for i in range(5)]
        >>> [len(val) for _, val in folds(cases, count=2)]
        [3, 2]
    """
    cases = tuple(cases)
    patients = _shuffled_patients(cases, seed)
    if not 2 <= count <= len(patients):
        raise UsageError(f"{count} folds need at least 2 folds and as many patients, found {len(patients)} patients")
    fold_of = {patient: i % count for i, patient in enumerate(patients)}
    return [
        (
            tuple(replace(case, split="train") for case in cases if fold_of[case.patient] != fold),
            tuple(replace(case, split="val") for case in cases if fold_of[case.patient] == fold),
        )
        for fold in range(count)
    ]


def keep_labelled(cases: Iterable[Case], *, patients: int, seed: int = 0) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Take the masks from all training patients but a few, to see what so many labels are worth.

    Args:
        cases: labelled cases with their splits.
        patients: number of training patients that keep their masks.
        seed: another seed keeps others.

    Returns:
        the cases that are still labelled, all validation and test cases among them, and those that lost their masks.

    Raises:
        UsageError: there are not that many training patients.

    Example:
        >>> cases = [Case(stem=s, image=(), masks=(Path(s),), patient=s, split="train") for s in "abcd"]
        >>> [len(part) for part in keep_labelled(cases, patients=1)]
        [1, 3]
    """
    cases = tuple(cases)
    names = sorted({case.patient for case in cases if case.split == "train"})
    if not 1 <= patients <= len(names):
        raise UsageError(f"--labelled {patients}: expected 1 to {len(names)}, the number of training patients")
    dropped = set(np.random.default_rng(seed).permutation(names)[patients:].tolist())
    lost = [case for case in cases if case.split == "train" and case.patient in dropped]
    kept = tuple(case for case in cases if case.split != "train" or case.patient not in dropped)
    return kept, tuple(replace(case, split="", masks=()) for case in lost)


def check_leakage(cases: Iterable[Case]) -> None:
    """Refuse splits that share a patient: scores on them would be too good to be true.

    Raises:
        InputError: names the patient, both splits and an image of each.

    Example:
        >>> check_leakage([Case(stem="1L", image=(), patient="1", split="train")])
    """
    for first, second in shared_patients(cases):
        msg = f"patient {first.patient!r} is in {first.split} ({first.stem}) and in {second.split} ({second.stem}); "
        where = second.image[0] if second.image else second.stem
        if first.site != second.site:
            msg += f"one is of {first.site or 'no site'}, the other of {second.site or 'no site'}: if these are two "
            raise InputError(where, msg + "people, give them different names in the column 'patient' of splits.csv.")
        raise InputError(where, msg + "put all images of a patient into one split (splits.csv).")


def check_unlabelled(cases: Iterable[Case], unlabelled: Iterable[Case]) -> None:
    """Refuse unlabelled images of a patient whom validation or test images show: training would see them.

    Raises:
        InputError: names the patient and both images.

    Example:
        >>> check_unlabelled([Case(stem="1L", image=(), patient="1", split="test")], [])
    """
    for case, other in judged_patients(cases, unlabelled):
        msg = f"patient {case.patient!r} is in {other.split} ({other.stem}) and among the unlabelled images. "
        raise InputError(case.image[0] if case.image else case.stem, msg + "Take it out of unlabelled/.")


def judged_patients(cases: Iterable[Case], unlabelled: Iterable[Case]) -> list[tuple[Case, Case]]:
    """Each unlabelled case whose patient is in val or test, with a case from there."""
    judged = {case.patient: case for case in cases if case.split in ("val", "test")}
    return [(case, judged[case.patient]) for case in unlabelled if case.patient in judged]


def shared_patients(cases: Iterable[Case]) -> list[tuple[Case, Case]]:
    """For each patient in more than one split: the first case and the first one elsewhere."""
    first: dict[str, Case] = {}
    clashes: dict[str, tuple[Case, Case]] = {}
    for case in cases:
        if case.split and first.setdefault(case.patient, case).split != case.split:
            clashes.setdefault(case.patient, (first[case.patient], case))
    return list(clashes.values())


def write_splits(cases: Iterable[Case], path: Path) -> Path:
    """Write ``splits.csv`` with the columns stem, split, patient, site."""
    with replacing(path) as temporary:
        temporary.write_text(splits_table(cases), encoding="utf-8")
    return path


def splits_table(cases: Iterable[Case]) -> str:
    """The text of ``splits.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    splits = ((case, case.split if case.masks else UNLABELLED) for case in cases)
    writer.writerows((case.stem, split, case.patient, case.site) for case, split in splits)
    return text.getvalue()


def read_splits(path: Path, cases: Iterable[Case]) -> tuple[Case, ...]:
    """Give cases the split, patient and site that ``splits.csv`` has for their stem.

    A case that stands there as ``unlabelled`` loses its masks.
    Columns other than ``stem`` are optional; empty cells of patient and site keep what the case has.

    Raises:
        InputError: a column, stem or split is unknown, or a stem stands there twice.
    """
    rows: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        header = reader.fieldnames or ()
        if "stem" not in header or set(header) - set(COLUMNS):
            raise InputError(path, f"expected the columns {', '.join(COLUMNS)}, found {', '.join(header) or 'nothing'}")
        for row in reader:
            if row["stem"] in rows:
                raise InputError(path, f"the stem {row['stem']!r} stands there twice")
            if row.get("split", "") not in ("", UNLABELLED, *SPLITS):
                allowed = f"train, val, test or {UNLABELLED}"
                raise InputError(path, f"{row['stem']}: expected {allowed}, found {row['split']!r}")
            rows[row["stem"]] = row
    cases = tuple(cases)
    if missing := sorted(set(rows) - {case.stem for case in cases}):
        names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(path, f"{len(missing)} stems have no image: {names}. Correct them or add the images.")
    return tuple(_updated(case, rows.get(case.stem, {})) for case in cases)


def has_patients(path: Path) -> bool:
    """Whether a ``splits.csv`` has the column of patients."""
    return "patient" in path.read_text(encoding="utf-8-sig").partition("\n")[0].strip().split(",")


def _updated(case: Case, row: dict[str, str]) -> Case:
    patient, site = row.get("patient") or case.patient, row.get("site") or case.site
    split = row.get("split", case.split)
    if split == UNLABELLED:
        return replace(case, split="", masks=(), patient=patient, site=site)
    return replace(case, split=split, patient=patient, site=site)


def _shuffled_patients(cases: Sequence[Case], seed: int) -> list[str]:
    """Patients in random order, those of one site side by side."""
    sites: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for case in sorted(cases, key=lambda case: (case.site, case.stem)):
        if case.patient not in seen:
            sites[case.site].add(case.patient)
            seen.add(case.patient)
    random = np.random.default_rng(seed)
    return [str(patient) for site in sorted(sites) for patient in random.permutation(sorted(sites[site]))]


def _apportion(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that sum to count, as near to the shares as can be (largest remainder), none empty if possible."""
    if min(shares) < 0 or sum(shares) <= 0:
        raise UsageError(f"shares of train, val and test must be 0 or more and not all 0, found {tuple(shares)}")
    exact = np.array(shares, float) / sum(shares) * count
    parts = np.floor(exact).astype(int)
    for k in np.argsort(parts - exact, kind="stable")[: count - parts.sum()]:
        parts[k] += 1
    # Train comes first where there are too few patients for every part, then test.
    for k in (0, 2, 1):
        if shares[k] > 0 and parts[k] == 0 and parts.max() > 1:
            parts[int(parts.argmax())] -= 1
            parts[k] = 1
    return [int(n) for n in parts]
