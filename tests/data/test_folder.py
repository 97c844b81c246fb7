from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.data.folder import open_dataset
from leanseg.errors import InputError

MakeFolder = Callable[..., Path]


def test_a_folder_opens_without_reading_a_pixel(make_folder: MakeFolder) -> None:
    root = make_folder(toml='name = "eyes"\npatient = "^(\\\\d+)"\nsite = "Oslo"\n[classes]\n255 = "vessel"\n')
    for path in (*root.glob("images/*"), *root.glob("masks/*")):
        path.write_bytes(b"not an image")
    dataset = open_dataset(root)
    assert (dataset.name, dataset.classes.names, dataset.notes) == ("eyes", ("vessel",), ())
    assert [(case.stem, case.patient, case.site) for case in dataset.cases][:2] == [
        ("1L", "1", "Oslo"),
        ("1R", "1", "Oslo"),
    ]


def test_without_toml_the_class_is_inferred_and_said(make_folder: MakeFolder) -> None:
    dataset = open_dataset(make_folder(toml="", value=1))
    assert (dataset.classes.names, dataset.classes.values) == (("foreground",), (1,))
    assert "not declared" in dataset.notes[0] and "1 = foreground" in dataset.notes[0]
    assert dataset.read_labels(dataset.cases[0]).sum() == 12 * 16


def test_masks_of_0_1_and_0_255_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder(toml="", value=255)
    mask = cv2.imread(str(root / "masks" / "2L.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(root / "masks" / "2L.png"), mask // 255)
    with pytest.raises(InputError, match=r"0/1 and others 0/255.*leanseg data repair"):
        open_dataset(root)


def test_jpeg_masks_are_refused_with_the_command(make_folder: MakeFolder) -> None:
    root = make_folder(toml="", ending=".jpg")
    with pytest.raises(InputError, match=r"JPEG.*leanseg data repair .*/set --out .*set-repaired"):
        open_dataset(root)


def test_no_mask_fits_any_image(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError, match="no mask has the stem"):
        open_dataset(make_folder(suffix="_other"))


def test_images_without_masks_are_unlabelled_and_said(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "masks" / "3L.png").unlink()
    dataset = open_dataset(root)
    assert [case.stem for case in dataset.unlabelled] == ["3L"]
    assert any("1 images have no mask" in note for note in dataset.notes)
    with pytest.raises(InputError, match="unlabelled"):
        dataset.read_labels(dataset.unlabelled[0])


def test_splits_csv_counts(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "splits.csv").write_text("stem,split,patient\n1L,train,a\n2L,test,b\n3L,val,c\n")
    dataset = open_dataset(root)
    assert [case.patient for case in dataset.subset("test")] == ["b"]
    assert any("1 labelled images have no split" in note and "1R" in note for note in dataset.notes)


def test_a_patient_pattern_that_misses_is_named(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError, match="finds nothing in the stem '1L'"):
        open_dataset(make_folder(toml='patient = "^p(.)"\n[classes]\n255 = "a"\n'))


@pytest.mark.parametrize(("shape", "sizes"), [((24, 31), "32x24, found 31x24"), ((32, 24), "32x24, found 24x32")])
def test_a_mask_of_another_size_is_refused(make_folder: MakeFolder, shape: tuple[int, int], sizes: str) -> None:
    root = make_folder()
    cv2.imwrite(str(root / "masks" / "1L.png"), np.zeros(shape, np.uint8))
    dataset = open_dataset(root)
    with pytest.raises(InputError, match=sizes):
        dataset.read_labels(dataset.cases[0])


def test_unknown_values_are_listed_with_the_command(make_folder: MakeFolder) -> None:
    dataset = open_dataset(make_folder(value=7))
    with pytest.raises(InputError, match=r"values 0, 255, found also 7.*leanseg data repair"):
        dataset.read_labels(dataset.cases[0])


def test_valid_leaves_out_the_border_and_ignored_pixels(make_folder: MakeFolder) -> None:
    root = make_folder(toml='ignore = 9\n[classes]\n255 = "vessel"\n')
    mask = np.zeros((24, 32), np.uint8)
    mask[0, :] = 9
    mask[5, 5] = 255
    cv2.imwrite(str(root / "masks" / "1L.png"), mask)
    (root / "valid").mkdir()
    field = np.full((24, 32), 255, np.uint8)
    field[:, 0] = 0
    cv2.imwrite(str(root / "valid" / "1L_mask.png"), field)
    dataset = open_dataset(root)
    valid = dataset.read_valid(dataset.cases[0])
    assert valid.dtype == bool and valid.sum() == 23 * 31 and not valid[0].any() and not valid[:, 0].any()
    assert dataset.read_labels(dataset.cases[0]).sum() == 1
    assert dataset.read_valid(dataset.cases[1]).all()


def test_overlapping_classes_have_a_folder_each(make_folder: MakeFolder) -> None:
    root = make_folder(toml='overlapping = true\n[classes]\n1 = "b"\n2 = "a"\n')
    for name in ("a", "b"):
        (root / "masks" / name).mkdir()
    for path in (root / "masks").glob("*.png"):
        cv2.imwrite(str(root / "masks" / "a" / path.name), np.full((24, 32), 255, np.uint8))
        path.rename(root / "masks" / "b" / path.name)
    dataset = open_dataset(root)
    labels = dataset.read_labels(dataset.cases[0])
    assert labels.shape == (2, 24, 32) and labels[0].sum() == 12 * 16 and labels[1].all() and labels.max() == 1
    (root / "dataset.toml").unlink()
    inferred = open_dataset(root)
    assert inferred.classes.overlapping and inferred.classes.names == ("a", "b")
    (root / "masks" / "a" / "1L.png").unlink()
    with pytest.raises(InputError, match="1L has no file in a"):
        open_dataset(root)


def test_channels_in_folders_are_stacked(make_folder: MakeFolder) -> None:
    root = make_folder(toml='[classes]\n255 = "a"\n[channels]\n1 = "t1"\n2 = "flair"\n')
    for path in list((root / "images").glob("*.png")):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        path.unlink()
        for i, name in enumerate(("t1", "flair")):
            (root / "images" / name).mkdir(exist_ok=True)
            cv2.imwrite(str(root / "images" / name / path.name), grey // (i + 1))
    dataset = open_dataset(root)
    image = dataset.read_image(dataset.cases[0])
    assert image.pixels.shape == (2, 24, 32) and np.array_equal(image.pixels[0] // 2, image.pixels[1])
    cv2.imwrite(str(root / "images" / "flair" / "1L.png"), np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match=r"size of 1L\.png, 32x24, found 3x3"):
        dataset.read_image(dataset.cases[0])


def test_declared_channels_must_be_there(make_folder: MakeFolder) -> None:
    dataset = open_dataset(make_folder(toml='[classes]\n255 = "a"\n[channels]\n1 = "grey"\n'))
    with pytest.raises(InputError, match="expected the 1 channels grey, found 3"):
        dataset.read_image(dataset.cases[0])


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"found notes\.txt"):
        open_dataset(tmp_path)
