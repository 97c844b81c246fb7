"""Masks of the right size in the wrong place are an error, wherever they are read."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.data.check import check_dataset
from leanseg.data.dataset import Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.same_place import distance, mirrored_axes
from leanseg.errors import InputError
from leanseg.workflows.contestants import MaskFolder

SIDES = (6, 5, 4)
PLACED = np.array([[0.0, -0.9, 0.1, 40.0], [0.7, 0.0, 0.0, -31.5], [0.0, 0.1, 3.0, 12.25], [0.0, 0.0, 0.0, 1.0]])

numbers = st.floats(-50, 50, allow_nan=False)


def mirror(*axes: int) -> np.ndarray:
    turned = np.eye(4)
    for axis in axes:
        turned[axis, axis], turned[axis, 3] = -1, SIDES[axis] - 1
    return turned


def save(path: Path, affine: np.ndarray, *, value: int = 1, codes: int = 1) -> None:
    voxels = np.zeros(SIDES, np.uint8)
    voxels[1:3, 1:3, 1:3] = value
    made = nibabel.Nifti1Image(voxels, affine)
    made.set_sform(affine, code=codes)
    made.set_qform(None, code=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(made, path)


def dataset(root: Path, affine: np.ndarray, *, codes: int = 1) -> Dataset:
    save(root / "images" / "scan.nii.gz", PLACED, value=90)
    save(root / "masks" / "scan.nii.gz", affine, codes=codes)
    return open_dataset(root)


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (PLACED @ mirror(0), "mirrored along x"),
        (PLACED @ mirror(1, 2), "mirrored along y and z"),
        (PLACED + np.eye(4, k=3) * 3, "3 mm apart"),
        (PLACED @ np.diag([1.0, 1.0, 1.5, 1.0]), "mm apart"),
    ],
)
def test_a_mask_of_another_place_is_an_error(tmp_path: Path, affine: np.ndarray, said: str) -> None:
    data = dataset(tmp_path, affine)
    (case,) = data.cases
    for read in (data.read_labels, lambda c: MaskFolder(tmp_path, classes=data.classes).answer(c, data.read_image(c))):
        with pytest.raises(InputError, match=said) as told:
            read(case)
        assert told.value.path == case.masks[0] and "Resample" in str(told.value)
    (finding,) = check_dataset(data).errors
    assert finding.kind == "other-place" and said in finding.message


def test_places_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    data = dataset(tmp_path, PLACED + np.eye(4, k=3) * 0.01)
    assert data.read_labels(data.cases[0]).sum() == 8
    assert not check_dataset(data).errors


@pytest.mark.parametrize(("affine", "codes"), [(np.eye(4), 2), (mirror(0) @ PLACED, 0)])
def test_a_mask_that_does_not_say_where_it_lies_is_believed(tmp_path: Path, affine: np.ndarray, codes: int) -> None:
    data = dataset(tmp_path, affine, codes=codes)
    assert data.read_labels(data.cases[0]).sum() == 8


def test_a_channel_of_another_place_is_an_error(tmp_path: Path) -> None:
    for name, affine in (("T1", PLACED), ("T2", PLACED @ mirror(1))):
        save(tmp_path / "images" / name / "scan.nii.gz", affine)
    save(tmp_path / "masks" / "scan.nii.gz", PLACED)
    (tmp_path / "dataset.toml").write_text('[channels]\n1 = "T1"\n2 = "T2"\n[classes]\n1 = "thing"\n')
    data = open_dataset(tmp_path)
    with pytest.raises(InputError, match="mirrored along y"):
        data.read_image(data.cases[0])


@given(column=st.lists(numbers, min_size=3, max_size=3), axes=st.sets(st.integers(0, 2)))
def test_mirrors_are_named(column: list[float], axes: set[int]) -> None:
    affine = PLACED.copy()
    affine[:3, 3] = column
    found = mirrored_axes(affine, affine @ mirror(*axes), SIDES, near=0.1)
    assert found == [name for number, name in enumerate("xyz") if number in axes]


@given(move=st.lists(numbers, min_size=3, max_size=3))
def test_the_distance_of_a_move_is_its_length(move: list[float]) -> None:
    moved = PLACED.copy()
    moved[:3, 3] += move
    assert distance(PLACED, moved, SIDES) == pytest.approx(float(np.linalg.norm(move)), abs=1e-9)
