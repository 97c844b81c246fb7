from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.data.folder import open_dataset
from leanseg.errors import UsageError
from leanseg.workflows.data import Check, Prepare, Repair, Split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of three patients whose masks are JPEG files."""
    root = tmp_path / "set"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i, stem in enumerate(("1L", "1R", "2L", "2R", "3L", "3R")):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40), np.uint8)
        cv2.imwrite(str(root / "images" / f"{stem}.png"), pixels)
        cv2.circle(mask := np.zeros((40, 40), np.uint8), (20, 20), 10, 255, -1)
        cv2.imwrite(str(root / "masks" / f"{stem}.jpg"), mask)
    (root / "dataset.toml").write_text('patient = "^(.)"\n[classes]\n255 = "disc"\n')
    return root


def test_check_repair_check_split(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    assert Check(data=folder).run() == 1
    out = capsys.readouterr().out
    assert "error jpeg-ramp: 6" in out and "and 3 more" in out and "leanseg data repair" in out
    assert Repair(data=folder, out=copy).run() == 0
    out = capsys.readouterr().out
    assert out.count("parted half way") == 6 and "6 files changed, 0 not repaired" in out
    assert Check(data=copy).run() == 0
    assert "0 errors" in capsys.readouterr().out
    assert Split(data=copy, seed=3).run() == 0
    assert "train 2 images of 1 patients" in capsys.readouterr().out
    assert all(len(open_dataset(copy).subset(part)) == 2 for part in ("train", "val", "test"))


def test_json_names_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Check(data=folder, json=True).run() == 1
    report = json.loads(capsys.readouterr().out)
    assert len(report["errors"]) == 6 and report["facts"]["patients"] == "3"


def test_what_does_not_open_is_an_error_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Check(data=tmp_path / "nowhere", json=True).run() == 1
    assert json.loads(capsys.readouterr().out)["errors"][0]["kind"] == "cannot-open"


def test_a_split_is_replaced_only_when_asked(folder: Path) -> None:
    Split(data=folder).run()
    with pytest.raises(UsageError, match="--replace"):
        Split(data=folder).run()
    before = (folder / "splits.csv").read_text()
    Split(data=folder, seed=1, replace=True).run()
    assert (folder / "splits.csv").read_text() != before


def test_partly_repaired_is_3(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.arange(1600, dtype=np.uint16).reshape(40, 40)
    (folder / "masks" / "1L.jpg").unlink()
    cv2.imwrite(str(folder / "masks" / "1L.png"), numbers)
    assert Repair(data=folder, out=tmp_path / "copy").run() == 3
    assert "not repaired masks/1L.png" in capsys.readouterr().out


def test_prepare_lists_and_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Prepare(show_list=True).run() == 0
    assert "chase-db1" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--download"):
        Prepare(name="ph2").run()
    for name in ("images/IMD002.png", "masks/IMD002.png"):
        path = tmp_path / "download" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.eye(30, dtype=np.uint8) * 255)
    assert Prepare(name="ph2", download=tmp_path / "download", out=tmp_path / "out").run() == 0
    out = capsys.readouterr().out
    assert "1 of 200 images" in out and "must not be shipped" in out
