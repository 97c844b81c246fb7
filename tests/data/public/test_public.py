"""Each public set is converted from a tiny fake of its official download, and from the real one where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leanseg.data.check import check_dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import PUBLIC, public_set
from leanseg.data.splits import check_leakage, complete_splits
from leanseg.errors import InputError, UsageError

OUTLINES = """<Annotations><Annotation><Regions><Region><Vertices>
<Vertex X="8" Y="6"/><Vertex X="23" Y="6"/><Vertex X="23" Y="17"/><Vertex X="8" Y="17"/>
</Vertices></Region></Regions></Annotation></Annotations>"""
NUCLEI = ("00071198d059ba7f" * 4, "fe8df8fac1238077" * 4)
SLIDES = ("TCGA-18-5592-01Z-00-DX1", "TCGA-21-5784-01Z-00-DX1")


def drive() -> Iterator[str]:
    for part, numbers in (("training", range(21, 41)), ("test", range(1, 4))):
        for n in numbers:
            yield f"DRIVE/{part}/images/{n:02d}_{part}.tif"
            yield f"DRIVE/{part}/1st_manual/{n:02d}_manual1.gif"
            yield f"DRIVE/{part}/mask/{n:02d}_{part}_mask.gif"


def chase_db1() -> Iterator[str]:
    for n in range(1, 15):
        for eye in "LR":
            yield from (f"Image_{n:02d}{eye}.jpg", f"Image_{n:02d}{eye}_1stHO.png", f"Image_{n:02d}{eye}_2ndHO.png")


def hrf() -> Iterator[str]:
    for stem, ending in (("01_dr", "JPG"), ("01_g", "jpg"), ("01_h", "jpg")):
        yield from (f"images/{stem}.{ending}", f"manual1/{stem}.tif", f"mask/{stem}_mask.tif")


def fives() -> Iterator[str]:
    for part in ("train", "test"):
        for stem in ("1_A", "2_D", "3_G", "4_N"):
            yield from (f"FIVES/{part}/Original/{stem}.png", f"FIVES/{part}/Ground truth/{stem}.png")


def isic2017() -> Iterator[str]:
    for i, part in enumerate(("Training", "Validation", "Test_v2")):
        stem = f"ISIC_000000{i}"
        yield from (f"ISIC-2017_{part}_Data/{stem}.jpg", f"ISIC-2017_{part}_Data/{stem}_superpixels.png")
        yield f"ISIC-2017_{part}_Part1_GroundTruth/{stem}_segmentation.png"


def ph2() -> Iterator[str]:
    for stem in ("IMD002", "IMD003"):
        folder = f"PH2Dataset/PH2 Dataset images/{stem}"
        yield from (f"{folder}/{stem}_Dermoscopic_Image/{stem}.bmp", f"{folder}/{stem}_lesion/{stem}_lesion.bmp")


def idrid() -> Iterator[str]:
    for part, numbers in (("a. Training Set", (1, 54)), ("b. Testing Set", (55,))):
        for n in numbers:
            yield f"A. Segmentation/1. Original Images/{part}/IDRiD_{n:02d}.jpg"
            lesions = ("1. Microaneurysms", "2. Haemorrhages", "3. Hard Exudates", "4. Soft Exudates")
            for folder, code in zip(lesions, ("MA", "HE", "EX", "SE"), strict=True):
                if (n, code) != (54, "SE"):
                    yield f"A. Segmentation/2. All Segmentation Groundtruths/{part}/{folder}/IDRiD_{n:02d}_{code}.tif"


def dsb2018() -> Iterator[str]:
    for stem in NUCLEI:
        yield from (f"stage1_train/{stem}/images/{stem}.png", f"stage1_train/{stem}/masks/{stem[::-1]}.png")


def monuseg() -> Iterator[str]:
    yield f"MoNuSeg 2018 Training Data/Tissue Images/{SLIDES[0]}.tif"
    yield f"MoNuSeg 2018 Training Data/Annotations/{SLIDES[0]}.xml"
    yield from (f"MoNuSegTestData/{SLIDES[1]}.tif", f"MoNuSegTestData/{SLIDES[1]}.xml")


def kvasir_seg() -> Iterator[str]:
    for stem in ("cju0qkwl35piu0993l0dewei2", "cju0qoxqj9q6s0835b43399p4"):
        yield from (f"Kvasir-SEG/images/{stem}.jpg", f"Kvasir-SEG/masks/{stem}.jpg")


def cvc_clinicdb() -> Iterator[str]:
    for n in (1, 24, 25, 612):
        yield from (f"CVC-ClinicDB/Original/{n}.tif", f"CVC-ClinicDB/Ground Truth/{n}.tif")


def plain_frames() -> Iterator[str]:
    for n in (1, 24, 25, 300):
        yield from (f"images/{n}.png", f"masks/{n}.png")


# Name, fake download, images in it, images of each split, patients.
FAKES: list[tuple[str, Callable[[], Iterator[str]], int, tuple[int, int, int], int]] = [
    ("drive", drive, 23, (16, 4, 3), 23),
    ("chase-db1", chase_db1, 28, (20, 0, 8), 14),
    ("hrf", hrf, 3, (0, 0, 0), 3),
    ("fives", fives, 8, (4, 0, 4), 8),
    ("isic2017", isic2017, 3, (1, 1, 1), 3),
    ("ph2", ph2, 2, (0, 0, 0), 2),
    ("monuseg", monuseg, 2, (1, 0, 1), 2),
    ("idrid", idrid, 3, (2, 0, 1), 3),
    ("dsb2018", dsb2018, 2, (0, 0, 0), 2),
    ("kvasir-seg", kvasir_seg, 2, (0, 0, 0), 2),
    ("cvc-clinicdb", cvc_clinicdb, 4, (0, 0, 0), 3),
    ("cvc-colondb", plain_frames, 4, (0, 0, 0), 3),
    ("cvc-endoscene", plain_frames, 4, (0, 0, 0), 3),
]
MASK_WORDS = ("manual", "1stHO", "2ndHO", "mask", "Ground", "lesion", "superpixels", "Truth")


def write_fake(root: Path, names: Iterator[str]) -> None:
    square = np.zeros((24, 32), np.uint8)
    square[6:18, 8:24] = 255
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".xml":
            path.write_text(OUTLINES)
        elif any(word in name.removeprefix("PH2Dataset") for word in MASK_WORDS):
            Image.fromarray(square).save(path)
        else:
            cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8))


@pytest.mark.parametrize(("name", "fake", "count", "split", "patients"), FAKES, ids=[fake[0] for fake in FAKES])
def test_official_layout(
    tmp_path: Path,
    name: str,
    fake: Callable[[], Iterator[str]],
    count: int,
    split: tuple[int, int, int],
    patients: int,
) -> None:
    write_fake(tmp_path / "download", fake())
    public = public_set(name)
    inventory = public.check(tmp_path / "download")
    assert len(inventory.cases) == count
    assert any(f"{count} of {public.count}" in note for note in inventory.missing) == (count < public.count)
    dataset = public.convert(tmp_path / "download", tmp_path / "out")
    assert tuple(len(dataset.subset(part)) for part in ("train", "val", "test")) == split
    assert len({case.patient for case in dataset.cases}) == patients
    assert (dataset.name, dataset.licence) == (public.title, public.licence)
    check_leakage(complete_splits(dataset.cases))
    report = check_dataset(dataset)
    assert report.ok, report.errors
    for case, original in zip(dataset.cases, inventory.cases, strict=True):
        assert case.image[0].read_bytes() == original.image[0].read_bytes()
        assert dataset.read_labels(case).sum() == 12 * 16 * sum(path.exists() for path in original.masks)
        assert (case.valid is None) == (original.valid is None)


def test_nuclei_keep_their_numbers(tmp_path: Path) -> None:
    write_fake(tmp_path / "download", monuseg())
    (outlines,) = (tmp_path / "download").rglob("Annotations/*.xml")
    one = OUTLINES.partition("<Region>")[2].partition("</Region>")[0]
    other = re.sub(r'X="(\d+)', lambda found: f'X="{int(found[1]) + 3}', one)
    outlines.write_text(OUTLINES.replace("</Region>", f"</Region><Region>{other}</Region>"))
    dataset = public_set("monuseg").convert(tmp_path / "download", tmp_path / "out")
    case = dataset.subset("train")[0]
    labels = dataset.read_labels(case)
    numbers = dataset.read_objects(case, image=dataset.read_image(case))
    assert numbers is not None and set(np.unique(numbers)) == {0, 1, 2}
    np.testing.assert_array_equal(numbers > 0, labels > 0)


def square_mask(path: Path, rows: slice, columns: slice, value: int = 255, dtype: type = np.uint8) -> np.ndarray:
    mask = np.zeros((24, 32), dtype)
    mask[rows, columns] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask > 0


def test_lesions_overlap_and_a_missing_file_is_an_empty_mask(tmp_path: Path) -> None:
    download = tmp_path / "download"
    write_fake(download, (f"images/IDRiD_{n}.jpg" for n in (54, 55, 56)))
    haemorrhage = square_mask(download / "masks_HE/IDRiD_54.png", slice(2, 9), slice(4, 20))
    exudate = square_mask(download / "masks_EX/IDRiD_54.png", slice(6, 12), slice(10, 30))
    square_mask(download / "masks_MA/IDRiD_55.png", slice(3, 4), slice(5, 6))
    outside = ~square_mask(download / "fov/IDRiD_55.png", slice(4, 20), slice(6, 26))
    Image.fromarray(outside).save(download / "fov/IDRiD_54.png")
    public = public_set("idrid")
    missing = "\n".join(public.check(download).missing)
    assert "IDRiD_56 has no mask and is left out" in missing and "1 of 2 images have no mask of haemorrhage" in missing
    assert "2 of 2 images have no mask of soft-exudate" in missing
    dataset = public.convert(download, tmp_path / "out")
    assert dataset.classes.overlapping
    assert dataset.classes.names == ("microaneurysm", "haemorrhage", "hard-exudate", "soft-exudate")
    (first,), (second,) = dataset.subset("train"), dataset.subset("test")
    empty = np.zeros_like(exudate)
    np.testing.assert_array_equal(dataset.read_labels(first), np.stack([empty, haemorrhage, exudate, empty]))
    assert (haemorrhage & exudate).any()
    assert dataset.read_labels(second).sum(axis=(1, 2)).tolist() == [1, 0, 0, 0]
    # Whichever side of its border the file marks, the field of view is the one around the centre.
    for case in dataset.cases:
        np.testing.assert_array_equal(dataset.read_valid(case), ~outside)


@pytest.mark.parametrize("drawn", ["palette", "red"])
def test_lesions_drawn_in_red_on_black(tmp_path: Path, drawn: str) -> None:
    write_fake(tmp_path / "download", idrid())
    (path,) = (tmp_path / "download").rglob("IDRiD_55_EX.tif")
    mask = np.zeros((24, 32), np.uint8)
    mask[3:20, 5:6] = 1
    picture = Image.fromarray(mask)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    (picture if drawn == "palette" else picture.convert("RGB")).save(path)
    dataset = public_set("idrid").convert(tmp_path / "download", tmp_path / "out")
    np.testing.assert_array_equal(dataset.read_labels(dataset.subset("test")[0])[2], mask)


def test_masks_of_single_nuclei_are_numbered(tmp_path: Path) -> None:
    write_fake(tmp_path / "download", dsb2018())
    folder = tmp_path / "download" / "stage1_train" / NUCLEI[0] / "masks"
    square_mask(folder / "0.png", slice(0, 4), slice(0, 5))
    touching = square_mask(folder / "1.png", slice(0, 4), slice(5, 8))
    dataset = public_set("dsb2018").convert(tmp_path / "download", tmp_path / "out")
    case = dataset.cases[0]
    numbers = dataset.read_objects(case, image=dataset.read_image(case))
    assert numbers is not None and np.bincount(numbers.ravel()).tolist()[1:] == [20, 12, 12 * 16]
    np.testing.assert_array_equal(numbers == 2, touching)
    np.testing.assert_array_equal(numbers > 0, dataset.read_labels(case))
    Image.fromarray(np.zeros((24, 30), np.uint8)).save(folder / "0.png")
    with pytest.raises(InputError, match=r"expected the size of 0\.png, 30x24, found 32x24"):
        public_set("dsb2018").convert(tmp_path / "download", tmp_path / "other")


def test_numbered_nuclei_beside_images_with_transparency(tmp_path: Path) -> None:
    image = tmp_path / "download" / "images" / f"{NUCLEI[0]}.png"
    image.parent.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    Image.fromarray(pixels).save(image)
    nucleus = square_mask(tmp_path / "download/masks" / image.name, slice(2, 5), slice(3, 7), 300, np.uint16)
    dataset = public_set("dsb2018").convert(tmp_path / "download", tmp_path / "out")
    (case,) = dataset.cases
    np.testing.assert_array_equal(dataset.read_image(case).pixels, np.moveaxis(pixels[..., :3], -1, 0))
    np.testing.assert_array_equal(dataset.read_objects(case, image=dataset.read_image(case)), nucleus * 300)
    np.testing.assert_array_equal(dataset.read_labels(case), nucleus)


def test_every_set_has_a_fake_and_its_facts() -> None:
    assert [fake[0] for fake in sorted(FAKES)] == sorted(PUBLIC)
    for name in PUBLIC:
        public = public_set(name)
        assert public.name == name and public.url.startswith("http") and public.licence and public.citation


def test_a_missing_mask_is_said_and_left_out(tmp_path: Path) -> None:
    write_fake(tmp_path / "download", drive())
    (tmp_path / "download/DRIVE/test/1st_manual/01_manual1.gif").unlink()
    inventory = public_set("drive").check(tmp_path / "download")
    assert "01_test has no mask and is left out" in inventory.missing and len(inventory.cases) == 22


def test_two_copies_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_fake(tmp_path / "a", ph2())
    write_fake(tmp_path / "b", ph2())
    with pytest.raises(InputError, match="IMD002 is there more than once"):
        public_set("ph2").check(tmp_path)


def test_nothing_found_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training/images/\*_training.tif.*drive.grand-challenge"):
        public_set("drive").check(tmp_path)
    with pytest.raises(InputError, match="unpacked download"):
        public_set("drive").check(tmp_path / "nowhere")


def test_an_existing_folder_is_never_written_into(tmp_path: Path) -> None:
    write_fake(tmp_path / "download", ph2())
    public_set("ph2").convert(tmp_path / "download", tmp_path / "out")
    with pytest.raises(UsageError, match="does not exist yet"):
        public_set("ph2").convert(tmp_path / "download", tmp_path / "out")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="chase-db1"):
        public_set("chase")


# Name, folder, cases, patients, mean share of foreground in percent.
REAL = [
    ("drive", "DRIVE", 40, 40, (6, 11)),
    ("chase-db1", "CHASE_DB1", 28, 14, (5, 10)),
    ("hrf", "HRF_4", 4, 4, (5, 11)),
    ("fives", "FIVES_7", 7, 7, (3, 12)),
    ("isic2017", "ISIC2017", 150, 150, (10, 35)),
    ("ph2", "PH2_60", 60, 60, (15, 50)),
    ("monuseg", "MoNuSeg", 20, 20, (15, 40)),
    ("idrid", "IDRiD_lesions_8", 8, 8, (0.02, 0.1)),
    ("dsb2018", "DSB2018_nuclei", 56, 56, (10, 20)),
    ("kvasir-seg", "Polyps/Kvasir-SEG", 120, 120, (8, 25)),
    ("cvc-clinicdb", "Polyps/CVC-ClinicDB", 61, 25, (4, 18)),
    ("cvc-colondb", "Polyps/CVC-ColonDB", 19, 10, (2, 18)),
    ("cvc-endoscene", "Polyps/CVC-EndoSceneStill", 24, 16, (4, 25)),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "folder", "count", "patients", "share"), REAL, ids=[real[0] for real in REAL])
def test_real_download(
    tmp_path: Path, data_root: Path, name: str, folder: str, count: int, patients: int, share: tuple[float, float]
) -> None:
    dataset = public_set(name).convert(data_root / folder, tmp_path / "out")
    assert len(dataset.cases) == count
    assert len({case.patient for case in dataset.cases}) == patients
    report = check_dataset(dataset, threads=2)
    assert report.ok, report.errors
    percent = float(report.facts[dataset.classes.names[0]].split()[0])
    assert share[0] < percent < share[1]
    assert {finding.kind for finding in report.warnings} <= {"few-patients", "duplicate", "empty-mask", "inverted"}


@pytest.mark.data
def test_field_of_view_of_the_real_sets(tmp_path: Path, data_root: Path) -> None:
    for name, folder in (("drive", "DRIVE"), ("chase-db1", "CHASE_DB1")):
        dataset = public_set(name).convert(data_root / folder, tmp_path / name)
        valid = dataset.read_valid(dataset.cases[0])
        height, width = valid.shape
        assert 0.5 < valid.mean() < 0.9 and valid[height // 2, width // 2] and not valid[0, 0]


@pytest.mark.data
def test_nuclei_of_the_real_set(tmp_path: Path, data_root: Path) -> None:
    source = data_root / "DSB2018_nuclei"
    dataset = public_set("dsb2018").convert(source, tmp_path / "out")
    for case in dataset.cases:
        labels = dataset.read_labels(case)
        numbers = np.asarray(Image.open(source / "masks" / f"{case.stem}.png"))
        np.testing.assert_array_equal(dataset.read_objects(case, image=dataset.read_image(case)), numbers)
        np.testing.assert_array_equal(labels, numbers > 0)


@pytest.mark.data
def test_lesions_of_the_real_set(tmp_path: Path, data_root: Path) -> None:
    part = tmp_path / "part"
    for path in sorted((data_root / "IDRiD_lesions_8").glob("*/IDRiD_0[23].*")):
        (part / path.parent.name).mkdir(parents=True, exist_ok=True)
        (part / path.parent.name / path.name).symlink_to(path)
    dataset = public_set("idrid").convert(part, tmp_path / "out")
    for case, soft in zip(dataset.cases, (0, 3318), strict=True):
        labels, valid = dataset.read_labels(case), dataset.read_valid(case)
        assert labels[3].sum() == soft and 0.6 < valid.mean() < 0.8
        assert not labels[:, ~valid].any()
        for layer, code in zip(labels, ("MA", "HE", "EX"), strict=False):
            np.testing.assert_array_equal(layer, np.asarray(Image.open(part / f"masks_{code}" / f"{case.stem}.png")))


@pytest.mark.data
def test_the_raw_copies_are_caught(data_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leanseg data repair"):
        open_dataset(data_root / "Polyps" / "Kvasir-SEG")
    for kind in ("images", "masks"):
        (tmp_path / "mix" / kind).mkdir(parents=True)
        for part in ("train", "test"):
            for path in sorted((data_root / "MoNuSeg" / part / kind).iterdir())[:2]:
                (tmp_path / "mix" / kind / path.name).symlink_to(path)
    with pytest.raises(InputError, match="0/1 and others 0/255"):
        open_dataset(tmp_path / "mix")
