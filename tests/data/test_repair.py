from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.data.check import check_dataset
from leanseg.data.folder import open_dataset
from leanseg.data.repair import Repair, repair_dataset
from leanseg.errors import InputError, UsageError
from leanseg.types import Classes

MakeFolder = Callable[..., Path]


def fingerprint(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("toml", ["", '[classes]\n255 = "vessel"\n'])
def test_jpeg_masks_are_refused_then_repaired_then_accepted(make_folder: MakeFolder, tmp_path: Path, toml: str) -> None:
    root = make_folder(ending=".jpg", toml=toml)
    before = fingerprint(root)
    with pytest.raises(InputError, match="leanseg data repair"):
        dataset = open_dataset(root)
        dataset.read_labels(dataset.cases[0])
    changes = repair_dataset(root, tmp_path / "copy")
    assert fingerprint(root) == before
    assert all(change.repaired for change in changes) and len(changes) == 4 + (not toml)
    dataset = open_dataset(tmp_path / "copy")
    assert check_dataset(dataset).ok
    labels = dataset.read_labels(dataset.cases[0])
    assert labels[6:18, 8:24].all() and labels.sum() == 12 * 16
    assert not list((tmp_path / "copy" / "masks").glob("*.jpg"))
    assert fingerprint(tmp_path / "copy")["images/1L.png"] == before["images/1L.png"]


def test_colour_jpeg_masks_are_repaired(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    grey = cv2.imread(str(root / "masks" / "1L.png"))
    grey[::4, ::5] = np.clip(grey[::4, ::5].astype(int) + np.array([9, 0, -9]), 0, 255)
    cv2.imwrite(str(root / "masks" / "1L.png"), grey)
    repair_dataset(root, tmp_path / "copy")
    dataset = open_dataset(tmp_path / "copy")
    assert dataset.read_labels(dataset.cases[0]).sum() == 12 * 16


def test_mixed_values_are_harmonised(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(toml="")
    mask = cv2.imread(str(root / "masks" / "1L.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(root / "masks" / "1L.png"), mask // 255)
    changes = repair_dataset(root, tmp_path / "copy")
    assert [str(change.file) for change in changes] == ["masks/1L.png", "dataset.toml"]
    dataset = open_dataset(tmp_path / "copy")
    assert {dataset.read_labels(case).sum() for case in dataset.cases} == {12 * 16}


def test_inverted_masks_are_flipped_only_when_asked(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    mask = cv2.imread(str(root / "masks" / "1L.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(root / "masks" / "1L.png"), 255 - mask)
    assert repair_dataset(root, tmp_path / "as-is") == []
    assert [change.action for change in repair_dataset(root, tmp_path / "flipped", invert=True)] == ["inverted"]
    flipped = cv2.imread(str(tmp_path / "flipped" / "masks" / "1L.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(flipped, mask)


def test_numbered_objects_become_foreground_only_when_asked(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    numbers = np.zeros((24, 32), np.uint16)
    numbers[2:10, 2:30] = np.arange(8 * 28).reshape(8, 28) + 200
    cv2.imwrite(str(root / "masks" / "1L.png"), numbers)
    (left,) = repair_dataset(root, tmp_path / "left")
    assert not left.repaired and "numbered objects" in left.action
    (change,) = repair_dataset(root, tmp_path / "done", instances_to_binary=True)
    assert change.repaired
    dataset = open_dataset(tmp_path / "done")
    assert dataset.read_labels(dataset.cases[0]).sum() == 8 * 28


def test_few_objects_are_objects_too_where_the_user_says_so(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Of nuclei, one picture has 24 and all others three."""
    root = make_folder(toml="")
    masks = sorted((root / "masks").iterdir())
    for path in masks:
        numbers = np.zeros((24, 32), np.uint8)
        count = 24 if path == masks[0] else 3
        numbers[4:6, :count] = np.arange(1, count + 1)
        cv2.imwrite(str(path), numbers)
    with pytest.raises(InputError, match=f"1 of {len(masks)} masks looked at.* --instances-to-binary"):
        open_dataset(root)
    repair_dataset(root, tmp_path / "done", instances_to_binary=True)
    dataset = open_dataset(tmp_path / "done")
    assert dataset.classes.names == ("foreground",)
    assert sorted(dataset.read_labels(case).sum() for case in dataset.cases) == [6] * (len(masks) - 1) + [48]


def test_masks_drawn_in_transparency_become_grey(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(toml="")
    for path in (root / "masks").iterdir():
        drawn = np.full((24, 32, 4), 255, np.uint8)
        drawn[..., 3] = 0
        drawn[6:18, 8:24, 3] = 255
        cv2.imwrite(str(path), drawn)
    with pytest.raises(InputError, match=r"transparency only.*data repair"):
        open_dataset(root)
    changes = repair_dataset(root, tmp_path / "done")
    assert all(change.repaired for change in changes) and len(changes) == 5
    dataset = open_dataset(tmp_path / "done")
    assert {dataset.read_labels(case).sum() for case in dataset.cases} == {12 * 16}
    assert not check_dataset(dataset).errors


def test_class_numbers_become_values_and_nothing_is_guessed() -> None:
    repair = Repair(classes=Classes(names=("a", "b"), values=(100, 255)))
    values, action = repair.mask(np.array([[0, 1, 2]]), Path("m.png"))
    assert values.tolist() == [[0, 100, 255]] and action
    with pytest.raises(InputError, match="no class has"):
        repair.mask(np.array([[0, 90, 255]]), Path("m.png"))


def test_an_empty_mask_stays_empty() -> None:
    repair = Repair(classes=Classes(names=("a",), values=(255,)))
    assert repair.mask(np.zeros((3, 3), np.uint8), Path("m.png"))[1] == ""
    assert repair.mask(np.ones((3, 3), np.uint8), Path("m.png"))[0].tolist() == [[255] * 3] * 3


def test_ignored_pixels_stay(make_folder: MakeFolder) -> None:
    repair = Repair(classes=Classes(names=("a",), values=(255,), ignore=9), invert=True)
    drawn = np.full((8, 8), 255)
    drawn[4, 4], drawn[5, 5] = 0, 9
    values, _ = repair.mask(drawn, Path("m.png"))
    assert values[4, 4] == 255 and values[5, 5] == 9 and values[0, 0] == 0


def test_the_copy_goes_to_a_new_place(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    for out in (root, root / "inside", tmp_path):
        with pytest.raises(UsageError, match="does not exist yet"):
            repair_dataset(root, out)
    with pytest.raises(InputError, match="images/ and masks/"):
        repair_dataset(root / "images", tmp_path / "copy")
