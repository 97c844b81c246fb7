from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leanseg.data.folder import open_dataset
from leanseg.errors import InputError

V1 = {"name": "T", "modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "a", "2": "b"}}
V2 = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1, "b": 2}}


def write(root: Path, description: dict[str, Any], parts: tuple[str, ...] = ("Tr",)) -> Path:
    for part in parts:
        (root / f"images{part}").mkdir()
        (root / f"labels{part}").mkdir()
        for stem in ("p_1", "p_2"):
            for channel in range(2):
                pixels = np.full((4, 6), 50 * channel, np.uint8)
                cv2.imwrite(str(root / f"images{part}" / f"{stem}{part}_{channel:04d}.png"), pixels)
            mask = np.array([[0, 1, 2, 0, 0, 3]] * 4, np.uint8)
            cv2.imwrite(str(root / f"labels{part}" / f"{stem}{part}.png"), mask)
    (root / "dataset.json").write_text(json.dumps({"file_ending": ".png", **description}))
    return root


def test_a_table_beside_it_gives_splits_and_patients(tmp_path: Path) -> None:
    folder = write(tmp_path, V2)
    assert any("declares no patients" in note for note in open_dataset(folder).notes)
    (folder / "splits.csv").write_text("stem,split,patient\np_1Tr,train,anna\np_2Tr,unlabelled,bert\n")
    dataset = open_dataset(folder)
    assert [(case.stem, case.split, case.patient) for case in dataset.cases] == [("p_1Tr", "train", "anna")]
    assert [case.patient for case in dataset.unlabelled] == ["bert"]
    assert not any("patients" in note for note in dataset.notes)


@pytest.mark.parametrize("description", [V1, V2])
def test_both_versions_are_read(tmp_path: Path, description: dict[str, Any]) -> None:
    labels = {**description["labels"], **({"3": "ignore"} if "modality" in description else {"ignore": 3})}
    dataset = open_dataset(write(tmp_path, {**description, "labels": labels}))
    assert dataset.classes.names == ("a", "b") and dataset.classes.ignore == 3 and dataset.channels == ("T1", "T2")
    case = dataset.cases[0]
    assert case.stem == "p_1Tr" and case.split == ""
    assert dataset.read_image(case).pixels[:, 0, 0].tolist() == [0, 50]
    assert dataset.read_labels(case)[0].tolist() == [0, 1, 2, 0, 0, 0]
    assert dataset.read_valid(case)[0].tolist() == [True] * 5 + [False]


def test_labelled_test_images_are_the_test_split(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, V2, ("Tr", "Ts")))
    assert len(dataset.subset("train")) == len(dataset.subset("test")) == 2


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    write(tmp_path, V2)
    (tmp_path / "imagesTr" / "p_2Tr_0001.png").unlink()
    with pytest.raises(InputError, match="2 channel files of p_2Tr"):
        open_dataset(tmp_path)


def test_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="regions"):
        open_dataset(write(tmp_path, {**V2, "labels": {"background": 0, "whole": [1, 2]}}))


def test_missing_labels_are_named(tmp_path: Path) -> None:
    write(tmp_path, V2)
    (tmp_path / "labelsTr" / "p_1Tr.png").unlink()
    with pytest.raises(InputError, match="labels of p_1Tr"):
        open_dataset(tmp_path)
