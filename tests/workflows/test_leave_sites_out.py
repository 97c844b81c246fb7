"""A site that is left out has no part in a training, and its scores are those of a model that never saw it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.cli import main
from testers.training import FAST, discs

pytestmark = pytest.mark.filterwarnings("ignore")

SITES = {"north": range(4), "south": range(4, 8)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = discs(tmp_path_factory.mktemp("sites") / "data")
    rows = [f"{number},,{number},{site}\n" for site, numbers in SITES.items() for number in numbers]
    (folder / "splits.csv").write_text("stem,split,patient,site\n" + "".join(rows))
    return folder


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("method", ["supervised", "mamba-sea"])
def test_labels_of_the_site_that_is_left_out_change_nothing_but_its_scores(
    data: Path, tmp_path: Path, method: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    for number in SITES["south"]:
        file = other / "masks" / f"{number}.png"
        cv2.imwrite(str(file), np.rot90(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), 2))
    runs = [tmp_path / "a", tmp_path / "b"]
    for folder, out in zip((data, other), runs, strict=True):
        words = ["train", str(folder), "--out", str(out), "--leave-out", "south", "--method", method, "--no-baseline"]
        assert main([*words, *FAST]) == 0
    files = ("model/model.safetensors", "model/config.json", "plan.json", "scores.csv")
    weights, settings, plan, scores = ([(run / name).read_text("latin-1") for run in runs] for name in files)
    assert weights[0] == weights[1] and plan[0] == plan[1]
    assert settings[0].replace('"name": "a"', '"name": "b"') == settings[1], "threshold, temperature, expected Dice"
    assert scores[0] != scores[1]
    assert json.loads((runs[0] / "config.json").read_text())["balance_sites"] is (
        True if method == "mamba-sea" else None
    )
    splits = {row["stem"]: row["split"] for row in read(runs[0] / "splits.csv")}
    assert {splits[str(number)] for number in SITES["south"]} == {"test"}
    assert {splits[str(number)] for number in SITES["north"]} == {"train", "val", "test"}
    summed = json.loads((runs[0] / "scores.json").read_text())
    (means,) = next(iter(summed["models"].values())).values()
    assert means["images"] == len(SITES["south"]), "the known site does not flatter the mean"
    assert {one["site"] for one in summed["sites"]} == {"north", "south"}
    assert "site south, which was left out" in (runs[0] / "report.html").read_text()


def test_wrong_options_leave_nothing_in_the_way_of_right_ones(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", str(data), "--out", str(out), "--leave-one-site-out", *FAST]
    assert main([*words, "--net", "min-net"]) == 2
    assert not out.exists() or not list(out.iterdir())
    assert main(words) == 0


def test_two_hospitals_that_number_their_patients_alike_are_told_what_to_do(data: Path, tmp_path: Path, capsys) -> None:
    same = tmp_path / "same"
    shutil.copytree(data, same)
    rows = [f"{number},,{number % 4},{site}\n" for site, numbers in SITES.items() for number in numbers]
    (same / "splits.csv").write_text("stem,split,patient,site\n" + "".join(rows))
    assert main(["train", str(same), "--out", str(tmp_path / "run"), "--leave-out", "south", *FAST]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "one is of north, the other of south" in told and "different names" in told


def test_each_site_is_scored_by_the_model_that_never_saw_it(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", str(data), "--out", str(out), "--method", "mamba-sea", "--no-baseline", *FAST]
    assert main([*words, "--leave-one-site-out"]) == 0
    rows = read(out / "scores.csv")
    assert {(row["image"], row["site"]) for row in rows} == {(str(n), site) for site in SITES for n in SITES[site]}
    assert {row["model"] for row in rows} == {"run"}
    for site in SITES:
        own = {row["image"]: row["dice"] for row in read(out / f"without-{site}" / "scores.csv") if row["site"] == site}
        assert own == {row["image"]: row["dice"] for row in rows if row["site"] == site}
    sites = json.loads((out / "scores.json").read_text())["sites"]
    assert [(one["site"], one["images"]) for one in sites] == [("north", 4), ("south", 4)]
    costs = read(out / "sites.csv")
    assert [one["site"] for one in costs] == ["north", "south"]
    for one in costs:
        (other,) = set(SITES) - {one["site"]}
        (known,) = (row for row in read(out / f"without-{other}" / "scores.csv") if row["site"] == one["site"])
        assert one["images"] == "1" and float(known["dice"]) == pytest.approx(float(one["dice_known"]), abs=1e-5)
    before = (out / "scores.csv").read_bytes()
    assert main(["train", str(data), "--out", str(out), "--resume"]) == 0
    assert (out / "scores.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--leave-out", "east"], "names north, south"),
        (["--leave-one-site-out", "--folds", "2"], "--folds"),
    ],
)
def test_what_is_refused(
    words: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *FAST, *words]) == 2
    assert message in capsys.readouterr().err


def test_images_without_a_site_cannot_be_left_out_by_site(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(data, bare)
    (bare / "splits.csv").unlink()
    assert main(["train", str(bare), "--out", str(tmp_path / "run"), *FAST, "--leave-one-site-out"]) == 2
    assert "images without a site" in capsys.readouterr().err
