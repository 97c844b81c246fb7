"""What is written comes back as the same labels in the same place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Picture

from leanseg.errors import UsageError
from leanseg.images.image import Geometry, Image
from leanseg.images.label_tiff import LabelTiffWriter
from leanseg.images.read import read_image, read_mask
from leanseg.images.tiff import TiffSource
from leanseg.images.write import mask_ending, write_labels, write_merged, write_probabilities
from leanseg.types import Classes

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
AFFINE = np.array([[0, 0, 3.0, -5], [-0.5, 0, 0, 6], [0, 2, 0, 7], [0, 0, 0, 1]])


def image(shape: tuple[int, ...], *, affine: np.ndarray | None = None, name: str = "p01.jpg") -> Image:
    return Image(np.zeros((1, *shape), np.uint8), Geometry(affine=affine), Path(name))


@st.composite
def tasks(draw: st.DrawFn) -> tuple[np.ndarray, Classes]:
    count = draw(st.integers(1, 5))
    values = draw(st.lists(st.integers(0, 65535), min_size=count + 1, max_size=count + 1, unique=True))
    classes = Classes(names=tuple("abcde"[:count]), values=tuple(values[1:]), background=values[0])
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    shape = (shape[0] + 1, *shape[1:]) if len(shape) == 3 else shape  # one slice alone counts as a picture
    return draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, count))), classes


@SAME_FOLDER
@given(task=tasks(), in_space=st.booleans())
def test_masks_come_back(tmp_path: Path, task: tuple[np.ndarray, Classes], in_space: bool) -> None:
    labels, classes = task
    like = image(labels.shape, affine=AFFINE if in_space else None)
    (path,) = write_labels(labels, like=like, classes=classes, folder=tmp_path / "masks")
    assert path.name == ("p01.nii.gz" if in_space or labels.ndim == 3 else "p01.png")
    np.testing.assert_array_equal(classes.encode(read_mask(path)), labels)
    assert set(np.unique(read_mask(path))) <= {classes.background, *classes.values}


@SAME_FOLDER
@given(
    matrix=hnp.arrays(np.float64, (3, 3), elements=st.floats(-3, 3)),
    origin=hnp.arrays(np.float64, 3, elements=st.floats(-500, 500)),
    two=st.booleans(),
)
def test_affine_comes_back(tmp_path: Path, matrix: np.ndarray, origin: np.ndarray, two: bool) -> None:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix + np.eye(3) * 10, origin  # shears included
    shape = (3, 4) if two else (2, 3, 4)
    like = image(shape, affine=affine, name="v.nii.gz")
    labels = np.ones(shape, np.uint8)
    (path,) = write_labels(labels, like=like, classes=Classes(names=("a",)), folder=tmp_path)
    np.testing.assert_allclose(read_image(path).geometry.affine, affine, rtol=1e-6, atol=1e-4)
    found = nibabel.load(path)
    assert found.shape == (*shape[::-1], 1)[:3]
    assert int(found.header["sform_code"]) == 1


def test_volume_without_affine_keeps_its_spacing(tmp_path: Path) -> None:
    like = Image(np.zeros((1, 2, 3, 4), np.uint8), Geometry(spacing=(3.0, 2.0, 0.5)), Path("v.tif"))
    (path,) = write_labels(np.ones((2, 3, 4), np.uint8), like=like, classes=Classes(names=("a",)), folder=tmp_path)
    assert read_image(path).geometry.spacing == (3.0, 2.0, 0.5)


def test_overlapping_classes_have_a_folder_each(tmp_path: Path) -> None:
    classes = Classes(names=("hard exudate", "disc"), values=(255, 255), overlapping=True)
    labels = np.array([[[0, 1], [1, 1]], [[1, 1], [0, 0]]], np.uint8)
    paths = write_labels(labels, like=image((2, 2)), classes=classes, folder=tmp_path)
    assert paths == [tmp_path / "hard exudate" / "p01.png", tmp_path / "disc" / "p01.png"]
    for path, plane in zip(paths, labels, strict=True):
        np.testing.assert_array_equal(read_mask(path), plane * 255)


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "C:x", "a\\b"])
def test_class_names_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    classes = Classes(names=(name,), overlapping=True)
    with pytest.raises(UsageError, match="cannot name a folder"):
        write_labels(np.ones((1, 2, 2), np.uint8), like=image((2, 2)), classes=classes, folder=tmp_path / "m")
    assert not list(tmp_path.rglob("*.png"))


def test_wrong_sizes_and_values_are_refused(tmp_path: Path) -> None:
    classes = Classes(names=("a",), values=(70000,))
    with pytest.raises(UsageError, match=r"\(4, 5\)"):
        write_labels(np.ones((5, 4), np.uint8), like=image((4, 5)), classes=classes, folder=tmp_path)
    with pytest.raises(UsageError, match="65535"):
        write_labels(np.ones((4, 5), np.uint8), like=image((4, 5)), classes=classes, folder=tmp_path)
    with pytest.raises(UsageError):
        write_probabilities(np.ones((2, 4, 5), np.float32), like=image((4, 5)), classes=classes, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
@pytest.mark.parametrize(("shape", "affine"), [((5, 7), None), ((5, 7), AFFINE), ((2, 5, 7), None)])
def test_probabilities_come_back(tmp_path: Path, names: tuple[str, ...], shape: tuple[int, ...], affine: Any) -> None:
    maps = np.random.default_rng(0).random((len(names), *shape), np.float32)
    (path,) = write_probabilities(maps, like=image(shape, affine=affine), classes=Classes(names=names), folder=tmp_path)
    found = read_image(path)
    assert found.pixels.dtype == np.float32
    np.testing.assert_array_equal(found.pixels, maps)
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            assert len(tiff.pages) == len(names)
            assert all(f'Name="{name}"' in tiff.ome_metadata for name in names)


def test_streamed_sources_get_tiled_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((300, 280, 3), np.uint8), photometric="rgb", tile=(64, 64))
    like = TiffSource(tmp_path / "s.tif")
    labels = (np.indices((300, 280)).sum(0) % 3).astype(np.uint8)
    classes = Classes(names=("a", "b"), values=(7, 9))
    (path,) = write_labels(labels, like=like, classes=classes, folder=tmp_path / "m")
    assert (path.name, mask_ending(like)) == ("s.tif", ".tif")
    np.testing.assert_array_equal(read_mask(path), np.array([0, 7, 9])[labels])


SEVERAL = Classes(names=("a", "b", "c"), values=(255,) * 3, colours=("#FFFFFF", "#0000FF", "#777777"), overlapping=True)


def colours(path: Path) -> np.ndarray:
    """What a viewer shows, (H, W, 3)."""
    return read_image(path).pixels.transpose(1, 2, 0)


@pytest.mark.parametrize("table", [SEVERAL, Classes(names=("grey",), colours=("#FFFFFF",), overlapping=True)])
@pytest.mark.parametrize("tiff", [False, True])
def test_merged_maps_are_numbers_and_colours(tmp_path: Path, table: Classes, tiff: bool) -> None:
    merged = (np.indices((300, 280)).sum(0) % (len(table.names) + 1)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "p01.tif", np.zeros((300, 280, 3), np.uint8), photometric="rgb", tile=(64, 64))
    like = TiffSource(tmp_path / "p01.tif") if tiff else image((300, 280))
    path = write_merged(merged, like=like, classes=table, folder=tmp_path / "merged")
    assert path.name == ("p01.tif" if tiff else "p01.png")
    np.testing.assert_array_equal(read_mask(path), merged)
    shown = np.array([(0, 0, 0), *(tuple(bytes.fromhex(c[1:])) for c in table.colours)], np.uint8)
    np.testing.assert_array_equal(colours(path), shown[merged])
    with Picture.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), shown[merged])


def test_merged_maps_of_volumes_are_numbers_in_place(tmp_path: Path) -> None:
    merged = (np.indices((2, 3, 4)).sum(0) % 4).astype(np.uint8)
    path = write_merged(merged, like=image((2, 3, 4), affine=AFFINE), classes=SEVERAL, folder=tmp_path)
    assert path.name == "p01.nii.gz"
    np.testing.assert_array_equal(read_mask(path), merged)
    np.testing.assert_allclose(read_image(path).geometry.affine, AFFINE, atol=1e-4)
    with pytest.raises(UsageError, match="as its source"):
        write_merged(merged[:1], like=image((2, 3, 4)), classes=SEVERAL, folder=tmp_path)


def test_palettes_of_another_size_or_depth_are_refused(tmp_path: Path) -> None:
    for dtype, count in ((np.uint16, 256), (np.uint8, 5)):
        with pytest.raises(UsageError, match="256 colours"):
            LabelTiffWriter(tmp_path / "m.tif", shape=(2, 2), dtype=dtype, palette=np.zeros((count, 3), np.uint8))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("step", [(100, 90), (256, 256), (37, 1000), (1000, 1000)])
def test_rectangles_make_one_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: bool, dtype: type, step: tuple[int, int]
) -> None:
    if big:
        monkeypatch.setattr("leanseg.images.label_tiff._CLASSIC", 0)
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (531, 400), dtype)
    corners = [(y, x) for y in range(0, 531, step[0]) for x in range(0, 400, step[1])]
    np.random.default_rng(1).shuffle(corners)
    with LabelTiffWriter(tmp_path / "m.tif", shape=(531, 400), dtype=dtype) as writer:
        for y, x in corners:
            region = slice(y, min(y + step[0], 531)), slice(x, min(x + step[1], 400))
            writer.write(region, values[region])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "m.tif"), values)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), values)
    with tifffile.TiffFile(tmp_path / "m.tif") as tiff, Picture.open(tmp_path / "m.tif") as picture:
        assert (tiff.is_bigtiff, tiff.pages.first.is_tiled) == (big, True)
        np.testing.assert_array_equal(np.asarray(picture), values)


def test_small_mask_and_one_tile(tmp_path: Path) -> None:
    with LabelTiffWriter(tmp_path / "m.tif", shape=(1, 1)) as writer:
        writer.write((slice(0, 1), slice(0, 1)), np.array([[9]], np.uint8))
    assert read_mask(tmp_path / "m.tif").tolist() == [[9]]


def rows(top: int, bottom: int) -> tuple[tuple[slice, slice], np.ndarray]:
    return (slice(top, bottom), slice(0, 10)), np.ones((bottom - top, 10), np.uint8)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([rows(0, 10)], "never written"),
        ([rows(0, 20), rows(10, 20)], "twice"),
        ([rows(0, 10), rows(9, 20)], "twice"),
        ([rows(10, 21)], "do not fit"),
        ([(rows(0, 20)[0], np.ones((20, 10), np.uint16))], "does not hold"),
        ([(rows(0, 20)[0], np.ones((20, 9), np.uint8))], "do not fit"),
    ],
)
def test_incomplete_masks_leave_no_file(tmp_path: Path, calls: list[Any], message: str) -> None:
    def write() -> None:
        with LabelTiffWriter(tmp_path / "m.tif", shape=(20, 10)) as writer:
            for region, values in calls:
                writer.write(region, values)

    with pytest.raises(UsageError, match=message):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.data
def test_masks_lie_over_public_volumes(data_root: Path, tmp_path: Path) -> None:
    scan = sorted((data_root / "MSD_Hippocampus" / "images").iterdir())[0]
    for source in (scan, data_root / "DICOM_samples" / "STS_001" / "CT" / "image"):
        found = read_image(source)
        labels = (found.pixels[0] > found.pixels.mean()).astype(np.uint8)
        (path,) = write_labels(labels, like=found, classes=Classes(names=("bright",)), folder=tmp_path)
        mask = read_image(path)
        assert mask.shape == found.shape
        np.testing.assert_allclose(mask.geometry.affine, found.geometry.affine, atol=1e-4)
        np.testing.assert_array_equal(mask.pixels[0], labels)
    again = nibabel.load(tmp_path / scan.name)
    np.testing.assert_allclose(again.affine, nibabel.load(scan).affine, atol=1e-5)
