"""Corrected labels are accepted into a copy; the data set stays as it is."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.cli import main
from leanseg.data.folder import open_dataset
from leanseg.workflows.label_errors import _with_ignored

STEMS = ("b", "a", "c")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for stem in STEMS:
        cv2.imwrite(str(root / "images" / f"{stem}.png"), np.full((8, 9, 3), 7, np.uint8))
        mask = np.zeros((8, 9), np.uint8)
        mask[2:5, 2:5] = 255
        cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
    return root


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    found = tmp_path / "run" / "label-errors"
    (found / "corrected").mkdir(parents=True)
    for stem in STEMS:
        cv2.imwrite(str(found / "corrected" / f"{stem}.png"), np.full((8, 9), 255, np.uint8))
    columns = ("image", "split", "expected_wrong_pixels", "changed_pixels", "changed_share")
    rows = [(stem, "train", 10 - n, 5 - n, 0.5) for n, stem in enumerate(STEMS)]
    with (found / "label-errors.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    (tmp_path / "run" / "config.json").write_text(json.dumps({"data": str(data)}))
    return tmp_path / "run"


def shares(root: Path) -> dict[str, float]:
    return {path.stem: float((cv2.imread(str(path), -1) > 0).mean()) for path in (root / "masks").iterdir()}


def test_without_a_choice_the_worst_are_listed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "review", str(run)]) == 0
    shown = capsys.readouterr().out
    assert shown.index("b ") < shown.index("a ") and "report.html" in shown and "--accept b" in shown


@pytest.mark.parametrize(("choice", "changed"), [(("--accept", "c"), "c"), (("--worst", "2"), "ab")])
def test_what_is_accepted_is_copied(
    run: Path, data: Path, tmp_path: Path, choice: tuple[str, str], changed: str
) -> None:
    before = shares(data)
    out = tmp_path / "new"
    assert main(["data", "review", str(run), *choice, "--out", str(out)]) == 0
    assert shares(data) == before
    assert {stem for stem, share in shares(out).items() if share == 1} == set(changed)
    decisions = {row["image"]: row["accepted"] for row in csv.DictReader((out / "review.csv").open())}
    assert decisions == {stem: "yes" if stem in changed else "no" for stem in STEMS}
    assert len(open_dataset(out).cases) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--accept", "z", "--out", "new"), "no image z"), (("--accept", "a"), "--out"), (("--worst", "1"), "--out")],
)
def test_wrong_choices_are_told(
    run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert main(["data", "review", str(run), *words]) == 2
    assert told in capsys.readouterr().err


def test_nothing_is_overwritten(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "review", str(run), "--accept", "a", "--out", str(data)]) == 2
    assert main(["data", "review", str(run), "--accept", "a", "--out", str(data / "inside")]) == 2
    assert capsys.readouterr().err.count("does not exist yet") == 2


def test_other_folders_are_told(data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "review", str(data)]) == 1
    assert "spatial-label-noise" in capsys.readouterr().err
    (run / "label-errors" / "corrected" / "a.png").unlink()
    assert main(["data", "review", str(run), "--accept", "a", "--out", str(tmp_path / "new")]) == 1
    assert "corrected mask" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_ignored_pixels_stay_ignored_in_corrected_masks(data: Path) -> None:
    (data / "dataset.toml").write_text('ignore = 9\n[classes]\n255 = "object"\n')
    mask = np.zeros((8, 9), np.uint8)
    mask[0], mask[4] = 9, 255
    cv2.imwrite(str(data / "masks" / "a.png"), mask)
    dataset = open_dataset(data)
    case = next(case for case in dataset.cases if case.stem == "a")
    numbers, classes = _with_ignored(dataset, case, np.ones((8, 9), np.uint8), dataset.read_image(case))
    values = classes.decode(numbers)
    assert set(values[0].tolist()) == {9} and set(values[1:].ravel().tolist()) == {255}
    plain = replace(dataset, classes=replace(dataset.classes, ignore=None))
    assert _with_ignored(plain, case, numbers, dataset.read_image(case))[0] is numbers


def test_a_data_set_that_has_moved_is_asked_for(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = data.rename(tmp_path / "elsewhere")
    words = ["data", "review", str(run), "--accept", "a", "--out", str(tmp_path / "new")]
    assert main(words) == 1
    assert "--data" in capsys.readouterr().err
    assert main([*words, "--data", str(moved)]) == 0
    assert shares(tmp_path / "new")["a"] == 1
