from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.data.dataset import SPLITS, Case
from leanseg.data.splits import (
    check_leakage,
    check_unlabelled,
    complete_splits,
    folds,
    keep_labelled,
    read_splits,
    split_cases,
    write_splits,
)
from leanseg.errors import InputError, UsageError


def make(patients: list[int], split: str = "", sites: int = 1) -> tuple[Case, ...]:
    return tuple(
        Case(
            stem=f"{split}{i}",
            image=(Path(f"{i}.png"),),
            masks=(Path(f"mask{i}.png"),),
            patient=f"p{p}",
            site=f"s{p % sites}",
            split=split,
        )
        for i, p in enumerate(patients)
    )


def parts(cases: tuple[Case, ...]) -> list[set[str]]:
    return [{case.patient for case in cases if case.split == split} for split in SPLITS]


patients = st.lists(st.integers(0, 15), min_size=1, max_size=40)


@given(patients=patients, seed=st.integers(0, 99), sites=st.integers(1, 3), data=st.data())
def test_parts_share_no_patient_and_do_not_depend_on_order(
    patients: list[int], seed: int, sites: int, data: st.DataObject
) -> None:
    cases = make(patients, sites=sites)
    divided = split_cases(cases, seed=seed)
    train, val, test = parts(divided)
    assert not (train & val or train & test or val & test)
    assert [case.stem for case in divided] == [case.stem for case in cases]
    assert train | val | test == {case.patient for case in cases}
    if len(set(patients)) >= 3:
        assert train and val and test
    shuffled = data.draw(st.permutations(cases))
    assert {c.stem: c.split for c in split_cases(shuffled, seed=seed)} == {c.stem: c.split for c in divided}


@given(count=st.integers(3, 40), sites=st.integers(1, 4), seed=st.integers(0, 9))
def test_numbers_are_kept_and_sites_are_spread(count: int, sites: int, seed: int) -> None:
    wanted = (count - 2 * (count // 3), count // 3, count // 3)
    cases = split_cases(make(list(range(count)), sites=sites), fractions=wanted, seed=seed)
    assert tuple(map(len, parts(cases))) == wanted
    for site in {case.site for case in cases}:
        here = [case for case in cases if case.site == site]
        for split, share in zip(SPLITS, wanted, strict=True):
            assert abs(sum(case.split == split for case in here) - share / count * len(here)) <= 2


def test_seeds_differ() -> None:
    cases = make(list(range(30)))
    assert split_cases(cases, seed=0) != split_cases(cases, seed=1)


def test_wrong_shares_are_refused() -> None:
    with pytest.raises(UsageError, match="shares"):
        split_cases(make([1]), fractions=(1, -1, 1))


def test_a_given_test_part_is_never_touched() -> None:
    given_test = make([100, 101], "test")
    cases = complete_splits((*make(list(range(10)), "train"), *given_test), fractions=(0.8, 0.2, 0))
    train, val, test = parts(cases)
    assert test == {"p100", "p101"} and len(val) == 2 and len(train) == 8


def test_complete_splits_stay() -> None:
    cases = (*make([1], "train"), *make([2], "val"), *make([3], "test"), *make([4]))
    assert complete_splits(cases) == cases


def test_one_given_part_is_no_split() -> None:
    assert all(parts(complete_splits(make(list(range(8)), "train"))))


@given(patients=patients, count=st.integers(2, 4), seed=st.integers(0, 9))
def test_each_patient_is_validated_once(patients: list[int], count: int, seed: int) -> None:
    cases = make(patients)
    if len(set(patients)) < count:
        with pytest.raises(UsageError, match="patients"):
            folds(cases, count=count, seed=seed)
        return
    made = folds(cases, count=count, seed=seed)
    validated = [case.stem for _, val in made for case in val]
    assert sorted(validated) == sorted(case.stem for case in cases)
    for train, val in made:
        assert val and train and len(train) + len(val) == len(cases)
        check_leakage((*train, *val))


def test_leakage_names_patient_and_splits() -> None:
    with pytest.raises(InputError, match=r"patient 'p1' is in train \(train0\) and in test \(test0\)"):
        check_leakage((*make([1], "train"), *make([1], "test")))
    with pytest.raises(InputError, match="p1"):
        complete_splits((*make([1], "train"), *make([1], "test")))


def test_written_splits_read_back(tmp_path: Path) -> None:
    cases = split_cases(make([0, 0, 1, 2], sites=2))
    path = write_splits(cases, tmp_path / "splits.csv")
    assert read_splits(path, make([5, 5, 5, 5])) == cases


def test_unlabelled_in_the_table_takes_the_mask_away(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("stem,split\n0,unlabelled\n1,train\n")
    first, second = read_splits(tmp_path / "splits.csv", make([1, 2]))
    assert (first.masks, first.split) == ((), "")
    assert second.masks and second.split == "train"
    written = write_splits((first, second), tmp_path / "again.csv")
    assert read_splits(written, make([1, 2])) == (first, second)


@given(patients=patients, seed=st.integers(0, 99), data=st.data())
def test_labelled_patients_are_counted_and_nobody_is_lost(patients: list[int], seed: int, data: st.DataObject) -> None:
    cases = (*make(patients, "train"), *make([90, 91], "test"), *make([92], "val"))
    wanted = data.draw(st.integers(1, len(set(patients))))
    kept, lost = keep_labelled(cases, patients=wanted, seed=seed)
    labelled = {case.patient for case in kept if case.split == "train"}
    assert len(labelled) == wanted
    assert not labelled & {case.patient for case in lost}
    assert not any(case.masks or case.split for case in lost) and all(case.masks for case in kept)
    assert {case.stem for case in (*kept, *lost)} == {case.stem for case in cases}
    assert [case.split for case in kept].count("test") == 2
    assert keep_labelled(cases[::-1], patients=wanted, seed=seed)[0][::-1] == kept


def test_seeds_keep_other_patients_and_too_many_are_refused() -> None:
    cases = make(list(range(12)), "train")
    assert len({tuple(c.patient for c in keep_labelled(cases, patients=3, seed=seed)[0]) for seed in range(5)}) > 1
    with pytest.raises(UsageError, match="1 to 12"):
        keep_labelled(cases, patients=13)


def test_unlabelled_images_of_a_judged_patient_are_refused() -> None:
    judged, others = make([1], "test"), make([1, 2], "free")
    with pytest.raises(InputError, match=r"p1.*unlabelled"):
        check_unlabelled(judged, others)
    check_unlabelled(make([1], "train"), others)
    check_unlabelled(judged, others[1:])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,split\n0,train\n", "columns"),
        ("stem,split\n0,training\n", "expected train, val, test or unlabelled, found 'training'"),
        ("stem,split\n0,train\n0,test\n", "twice"),
        ("stem,split\n0,train\nabc,test\n", "abc"),
    ],
)
def test_mistakes_in_splits_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_splits(path, make([0]))


def test_excel_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_bytes("\ufeffstem,split\r\n0,val\r\n".encode())
    assert read_splits(path, make([0]))[0].split == "val"
