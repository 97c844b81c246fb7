from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leanseg.data.folder import open_dataset
from leanseg.errors import InputError


def write(root: Path, **content: Any) -> Path:
    for name in ("a/img", "b/img", "c/img", "d/img"):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((3, 4), np.uint8))
        cv2.imwrite(str(path.with_name("seg.png")), np.array([[0, 1, 1, 0]] * 3, np.uint8))
    path = root / "list.json"
    path.write_text(json.dumps(content))
    return path


def entry(folder: str, **more: str) -> dict[str, str]:
    return {"image": f"{folder}/img.png", "label": f"{folder}/seg.png", **more}


def test_sections_become_splits_and_stems_stay_apart(tmp_path: Path) -> None:
    training = [entry("a", patient="p1"), entry("b"), {"image": "d/img.png"}]
    path = write(tmp_path, training=training, validation=[entry("c")], test=["d/img.png"][:0])
    dataset = open_dataset(path)
    assert [(c.stem, c.split, c.patient) for c in dataset.cases] == [
        ("a_img", "train", "p1"),
        ("b_img", "train", "b_img"),
        ("c_img", "val", "c_img"),
    ]
    assert [case.stem for case in dataset.unlabelled] == ["d_img"]
    assert dataset.classes.values == (1,) and "not declared" in dataset.notes[0]
    assert dataset.read_labels(dataset.cases[0]).sum() == 6


def test_decathlon_folder(tmp_path: Path) -> None:
    labels = {"0": "background", "1": "spleen"}
    path = write(tmp_path, modality={"0": "CT"}, labels=labels, training=[entry("a"), entry("b")], test=["./c/img.png"])
    path.rename(tmp_path / "dataset.json")
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("spleen",) and dataset.channels == ("CT",)
    assert {case.split for case in dataset.cases} == {""}
    assert any("1 images for testing" in note for note in dataset.notes) and not dataset.unlabelled


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"validation": []}, "training"),
        ({"training": [{"label": "a/seg.png"}]}, '"image"'),
        ({"training": [{"image": "nowhere.png"}]}, "nothing there"),
        ({"training": [{"image": "a/img.png"}]}, '"label"'),
        ({"training": [entry("a"), entry("a")]}, "more than once"),
        ({"training": [{"image": "a/img.png", "label": ["a/seg.png", "b/seg.png"]}]}, "one label"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        open_dataset(write(tmp_path, **content))


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        open_dataset(tmp_path / "x.json")
