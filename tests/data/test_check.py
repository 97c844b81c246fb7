from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from PIL import Image

from leanseg.data.check import CheckReport, check_dataset
from leanseg.data.folder import open_dataset

MakeFolder = Callable[..., Path]


def check(root: Path) -> CheckReport:
    return check_dataset(open_dataset(root), threads=2)


def kinds(report: CheckReport) -> tuple[set[str], set[str]]:
    return {f.kind for f in report.errors}, {f.kind for f in report.warnings}


def write_mask(root: Path, stem: str, values: np.ndarray, ending: str = ".png") -> None:
    cv2.imwrite(str(root / "masks" / f"{stem}{ending}"), values)


def test_a_sound_set_is_clean(make_folder: MakeFolder) -> None:
    report = check(make_folder(("1", "2", "3", "4", "5")))
    assert report.ok and not report.warnings
    assert report.facts["images"] == "5 with masks, 0 without"
    assert report.facts["size"] == "32x24" and report.facts["vessel"].startswith("25.00 %")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([[0, 1]] * 24).repeat(16, 1), "mixed-values"),
        (np.arange(24 * 32).reshape(24, 32) % 30, "instances"),
        (np.array([[0, 255, 60]] * 24).repeat(11, 1)[:, :32], "unexpected-values"),
        (np.zeros((24, 16)), "size-mismatch"),
    ],
)
def test_bad_masks_are_errors(make_folder: MakeFolder, values: np.ndarray, kind: str) -> None:
    root = make_folder()
    write_mask(root, "2L", values.astype(np.uint8))
    report = check(root)
    assert [(finding.kind, finding.file.name) for finding in report.errors] == [(kind, "2L.png")]
    assert report.errors[0].remedy


def test_jpeg_masks_are_told_with_the_command(make_folder: MakeFolder) -> None:
    report = check(make_folder(ending=".jpg"))
    assert len(report.errors) == 4 and kinds(report)[0] == {"jpeg-ramp"}
    assert "leanseg data repair" in report.errors[0].remedy and "0: " in report.errors[0].message


def test_class_numbers_instead_of_values(make_folder: MakeFolder) -> None:
    root = make_folder(toml='[classes]\n100 = "a"\n255 = "b"\n')
    for stem in ("1L", "1R", "2L", "3L"):
        write_mask(root, stem, (np.arange(24 * 32).reshape(24, 32) % 3).astype(np.uint8))
    assert kinds(check(root))[0] == {"palette-indices"}


def test_what_deserves_a_look_is_a_warning(make_folder: MakeFolder) -> None:
    root = make_folder()
    write_mask(root, "1L", np.zeros((24, 32), np.uint8))
    write_mask(root, "1R", 255 - cv2.imread(str(root / "masks" / "1R.png"), cv2.IMREAD_GRAYSCALE))
    write_mask(root, "lone", np.zeros((24, 32), np.uint8))
    cv2.imwrite(str(root / "images" / "2L.png"), np.full((24, 32), 9, np.uint8))
    (root / "masks" / "3L.png").unlink()
    report = check(root)
    expected = {"empty-mask", "inverted", "mask-without-image", "constant-image", "mixed-channels", "few-patients"}
    assert report.ok and kinds(report)[1] == {*expected, "image-without-mask"}


def test_an_image_that_does_not_open(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images" / "1L.png").write_bytes(b"\x89PNG cut off")
    report = check(root)
    assert [(f.kind, f.file.name) for f in report.errors] == [("unreadable", "1L.png")]


def test_a_class_that_never_occurs(make_folder: MakeFolder) -> None:
    report = check(make_folder(toml='[classes]\n255 = "a"\n7 = "b"\n'))
    assert [(f.kind, f.message) for f in report.errors] == [("absent-class", "no mask shows b")]


def test_leaks_and_duplicates_across_splits_are_errors(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "splits.csv").write_text("stem,split,patient\n1L,train,1\n1R,test,1\n2L,train,2\n3L,test,3\n")
    shutil.copy(root / "images" / "2L.png", root / "images" / "3L.png")
    report = check(root)
    assert kinds(report)[0] == {"patient-leak", "duplicate"}
    messages = " ".join(finding.message for finding in report.errors)
    assert "patient '1' is in train (1L) and test (1R)" in messages and "2L (train, here test)" in messages


def test_duplicates_inside_one_split_are_warnings(make_folder: MakeFolder) -> None:
    root = make_folder()
    shutil.copy(root / "images" / "2L.png", root / "images" / "3L.png")
    report = check(root)
    assert report.ok and "duplicate" in kinds(report)[1]


def test_unlabelled_images_of_a_test_patient(make_folder: MakeFolder) -> None:
    root = make_folder(toml='patient = "^(.)"\n[classes]\n255 = "a"\n')
    (root / "splits.csv").write_text("stem,split\n1L,train\n1R,train\n2L,train\n3L,test\n")
    (root / "unlabelled").mkdir()
    shutil.copy(root / "images" / "3L.png", root / "unlabelled" / "3R.png")
    errors, warnings = kinds(check(root))
    assert errors == {"duplicate"} and "patient-leak" in warnings


def test_masks_that_splits_take_away_are_no_mistake(make_folder: MakeFolder) -> None:
    root = make_folder()
    before = kinds(check(root))[1]
    stem = next(iter((root / "images").iterdir())).stem
    (root / "splits.csv").write_text(f"stem,split\n{stem},unlabelled\n")
    after = kinds(check(root))[1]
    assert not {"image-without-mask", "mask-without-image"} & (after - before)


def test_the_report_is_json(make_folder: MakeFolder) -> None:
    plain = json.loads(json.dumps(check(make_folder(value=1)).to_dict()))
    assert plain["ok"] is False and plain["errors"][0]["kind"] == "mixed-values"


def test_volumes_and_nan(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((6, 5, 4), np.uint8)
    mask[2:4, 1:3, 1:3] = 1
    for i in range(3):
        pixels = np.random.default_rng(i).normal(size=mask.shape).astype(np.float32)
        pixels[0, 0, 0] = np.nan if i == 1 else 0
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), tmp_path / "images" / f"p{i}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "masks" / f"p{i}.nii.gz")
    report = check(tmp_path)
    assert [(f.kind, f.file.name) for f in report.errors] == [("unreadable", "p1.nii.gz")]
    assert "NaN" in report.errors[0].message and report.facts["size"] == "6x5x4"


def test_a_mask_drawn_without_the_camera_turn_is_told(make_folder: MakeFolder) -> None:
    root = make_folder()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(root / "images" / "1L.png").save(root / "images" / "1L.png", exif=turned)
    (finding,) = check(root).errors
    assert finding.kind == "size-mismatch" and "turned by 90 degrees" in finding.remedy
