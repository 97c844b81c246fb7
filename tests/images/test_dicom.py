"""DICOM: order, place, units and colours of slices, and no patient in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    RTStructureSetStorage,
    generate_uid,
)

from leanseg.errors import InputError
from leanseg.images.read import is_image, list_images, read_image, read_mask

RNG = np.random.default_rng(3)
STACK = RNG.integers(0, 4096, (5, 6, 7), np.uint16)
SECRET = "Doe^Jane"


def make(pixels: np.ndarray, *, series: str = "1.2.3", **header: Any) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.PatientName, made.PatientID, made.SeriesInstanceUID, made.Modality = SECRET, SECRET, series, "CT"
    colour = pixels.shape[-1] == 3
    made.Rows, made.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in header.items():
        setattr(made, name, value)
    return made


def save(path: Path, made: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def place(z: float, **more: Any) -> dict[str, Any]:
    return {
        "ImagePositionPatient": [-10.0, -20.0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.8, 0.5],
        **more,
    }


def save_series(folder: Path, heights: list[float], **more: Any) -> Path:
    for number, (pixels, z) in enumerate(zip(STACK, heights, strict=False)):
        save(folder / f"{(number * 3) % 5}.dcm", make(pixels, **place(z, **more)))
    return folder


def test_series_is_ordered_along_its_normal(tmp_path: Path) -> None:
    heights = [30.0, 22.5, 37.5, 25.0 + 2.5 + 7.5 + 10, 52.5]
    image = read_image(save_series(tmp_path / "ct", heights))
    np.testing.assert_array_equal(image.pixels[0], STACK[np.argsort(heights)])
    assert image.geometry.spacing == pytest.approx((7.5, 0.8, 0.5))
    # LPS to RAS: x and y change their sign.
    expected = [[-0.5, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 7.5, 22.5], [0, 0, 0, 1]]
    np.testing.assert_allclose(image.geometry.affine, expected, atol=1e-9)
    assert (image.source, image.stem) == (tmp_path / "ct", "ct")


def test_oblique_series_maps_every_voxel_to_its_place(tmp_path: Path) -> None:
    across, down = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(across, down)
    corners = [np.array([5.0, -7.0, 11.0]) + 2.5 * i * normal for i in range(5)]
    for i in (4, 2, 0, 1, 3):
        header = {"ImagePositionPatient": [f"{v:.6f}" for v in corners[i]], "PixelSpacing": [0.8, 0.5]}
        save(tmp_path / f"{i}", make(STACK[i], **header, ImageOrientationPatient=[*across, *down]))
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels[0], STACK)
    for z, y, x in [(0, 0, 0), (4, 5, 6), (2, 3, 1)]:
        lps = corners[z] + across * 0.5 * x + down * 0.8 * y
        ras = image.geometry.affine @ [x, y, z, 1]
        np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-5)


def test_hounsfield_units_stay_integers_and_pet_slopes_hold_per_slice(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", [0, 1, 2, 3, 4], RescaleSlope=1, RescaleIntercept=-1024)
    pixels = read_image(folder).pixels
    assert pixels.dtype == np.int16
    np.testing.assert_array_equal(pixels[0], STACK.astype(int) - 1024)
    for i in range(3):
        save(tmp_path / "pet" / f"{i}", make(STACK[i], **place(i, RescaleSlope=0.1 * (i + 1), RescaleIntercept=0)))
    pixels = read_image(tmp_path / "pet").pixels
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0], STACK[:3] * np.array([0.1, 0.2, 0.3])[:, None, None], rtol=1e-5)


@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_is_inverted(tmp_path: Path, signed: bool) -> None:
    stored = (STACK[0].astype(np.int16) - 2048) if signed else STACK[0]
    header = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    pixels = read_image(save(tmp_path / "a.dcm", make(stored, **header))).pixels
    np.testing.assert_array_equal(pixels[0], (-1 if signed else 4095) - stored.astype(int))


def test_colours_become_rgb(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (6, 7, 3), np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.dcm", make(colour))).pixels, np.moveaxis(colour, -1, 0))
    ybr = np.tile(np.array([76, 85, 255], np.uint8), (6, 7, 1))  # ITU-R BT.601 of pure red
    made = make(ybr, PhotometricInterpretation="YBR_FULL")
    red = read_image(save(tmp_path / "b.dcm", made)).pixels[:, 0, 0].astype(int)
    np.testing.assert_allclose(red, (255, 0, 0), atol=2)


def test_palette_colour_becomes_rgb(tmp_path: Path) -> None:
    index = (STACK[0] % 4).astype(np.uint8)
    tables = RNG.integers(0, 256, (3, 4), np.uint16) * 256
    made = make(index, PhotometricInterpretation="PALETTE COLOR")
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.dcm", made)).pixels, tables[:, index] >> 8)


def compress(made: Dataset, pixels: np.ndarray, syntax: str) -> None:
    """With encoders that leanseg installs anyway."""
    if syntax == RLELossless:
        made.compress(syntax, generate_instance_uid=False)
        return
    if syntax == JPEGLSLossless:
        code = imagecodecs.jpegls_encode(pixels)
    else:
        code = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k")
        made.PhotometricInterpretation = "YBR_RCT" if pixels.ndim == 3 else "MONOCHROME2"
    made.PixelData = encapsulate([code])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.file_meta.TransferSyntaxUID = syntax


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_files(tmp_path: Path, syntax: str, colour: bool) -> None:
    pixels = RNG.integers(0, 256, (48, 40, 3), np.uint8) if colour else RNG.integers(0, 4096, (48, 40), np.uint16)
    made = make(pixels)
    compress(made, pixels, syntax)
    expected = np.moveaxis(pixels, -1, 0) if colour else pixels[None]
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.dcm", made)).pixels, expected)


def enhanced(order: list[int], heights: list[float]) -> Dataset:
    made = make(STACK[order], NumberOfFrames=5)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [Dataset()], [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.8, 0.5]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    for i in order:
        frame, position, units = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, heights[i]]
        units.RescaleSlope, units.RescaleIntercept = 1, -i
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [units]
        frames.append(frame)
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], frames
    return made


def test_enhanced_frames_form_a_volume(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.dcm", enhanced([3, 0, 4, 1, 2], [0, 2, 4, 6, 8])))
    np.testing.assert_array_equal(image.pixels[0], STACK.astype(int) - np.arange(5)[:, None, None])
    assert image.geometry.spacing == (2.0, 0.8, 0.5)
    with pytest.raises(InputError, match="missing: 1"):
        read_image(save(tmp_path / "b.dcm", enhanced([0, 1, 2, 3, 4], [0, 2, 4, 8, 10])))


def test_film_is_a_stack_without_a_place(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.dcm", make(STACK, NumberOfFrames=5)))
    np.testing.assert_array_equal(image.pixels[0], STACK)
    assert image.geometry.affine is None


def test_one_slice_is_a_picture(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.dcm", make(STACK[0], **place(7))))
    assert (image.dims, image.geometry.spacing) == (2, (0.8, 0.5))
    np.testing.assert_allclose(image.geometry.affine[:3, 3], [10, 20, 7])
    xray = read_image(save(tmp_path / "b.dcm", make(STACK[0], ImagerPixelSpacing=[0.2, 0.1])))
    np.testing.assert_allclose(np.diag(xray.geometry.affine), [-0.1, -0.2, 1, 1])
    bare = read_image(save(tmp_path / "c.dcm", make(STACK[0])))
    assert bare.geometry.spacing is None
    np.testing.assert_allclose(np.diag(bare.geometry.affine), [-1, -1, 1, 1])


def with_localizer(folder: Path) -> None:
    save_series(folder, [0, 1, 2, 3, 4])
    save(folder / "9.dcm", make(STACK[0], **{**place(9), "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}))


def with_other_size(folder: Path) -> None:
    save_series(folder, [0, 1, 2, 3, 4])
    save(folder / "9.dcm", make(STACK[0][:4], **place(5)))


def with_other_series(folder: Path) -> None:
    save_series(folder, [0, 1, 2, 3, 4])
    save(folder / "8.dcm", make(STACK[0], series="9.9", **place(5)))
    save(folder / "9.dcm", make(STACK[0], series="9.9", **place(6)))


def sheared(folder: Path) -> None:
    for i in range(5):
        save(folder / f"{i}", make(STACK[i], **{**place(i), "ImagePositionPatient": [float(i == 2), 0, i]}))


def cut_off(folder: Path) -> None:
    save_series(folder, [0, 1, 2, 3, 4])
    (folder / "3.dcm").write_bytes((folder / "3.dcm").read_bytes()[:-20])


def cut_header(folder: Path) -> None:
    save_series(folder, [0, 1, 2, 3, 4])
    (folder / "0.dcm").write_bytes((folder / "0.dcm").read_bytes()[:500])


def nowhere(folder: Path) -> None:
    for i in range(3):
        save(folder / f"{i}", make(STACK[i]))


BAD = {
    "gap": (lambda f: save_series(f, [0, 1, 2, 5, 6]), "missing: 2 of them, found 3.00 mm instead of 1.00"),
    "uneven": (lambda f: save_series(f, [0, 1, 2, 3, 4.4]), "equal distances"),
    "twice": (lambda f: save_series(f, [0, 1, 2, 2, 3]), "1 slices lie at the place of another"),
    "localizer": (with_localizer, "parallel"),
    "size": (with_other_size, "one size"),
    "two series": (with_other_series, "found 2: 5 CT from 0.dcm on; 2 CT from 8.dcm on.*own folder"),
    "crooked": (sheared, "on a line"),
    "cut off": (cut_off, "cannot be read as a DICOM image"),
    "cut header": (cut_header, "cut off"),
    "no position": (nowhere, "do not say where"),
    "no dicom": (lambda f: (f.mkdir(), (f / "a.txt").write_text("x")), "found none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_gives_one_error_without_the_patient(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    build, message = BAD[case]
    build(tmp_path / "series")
    with pytest.raises(InputError, match=message) as caught:
        read_image(tmp_path / "series")
    assert "Doe" not in str(caught.value)
    assert "1.2.3" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_broken_compression_is_one_error(tmp_path: Path, syntax: str, caplog: pytest.LogCaptureFixture) -> None:
    pixels = RNG.integers(0, 4096, (64, 64), np.uint16)
    made = make(pixels)
    compress(made, pixels, syntax)
    data = bytearray(made.PixelData)
    data[60:-60] = bytes(len(data) - 120)
    made.PixelData = bytes(data)
    with pytest.raises(InputError, match="cannot be read as a DICOM image"):
        read_image(save(tmp_path / "a.dcm", made))
    assert not caplog.records
    cut = save(tmp_path / "b.dcm", made).read_bytes()
    (tmp_path / "b.dcm").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(InputError, match="the file is cut off"):
        read_image(tmp_path / "b.dcm")


@pytest.mark.parametrize(
    ("header", "message"),
    [({"Modality": "SEG"}, "segmentation object"), ({"TotalPixelMatrixRows": 60, "NumberOfFrames": 5}, "slide")],
)
def test_other_objects_are_refused(tmp_path: Path, header: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_image(save(tmp_path / "a.dcm", make(STACK, **header)))


def test_object_without_pixels_is_refused(tmp_path: Path) -> None:
    made = make(STACK[0], Modality="RTSTRUCT", SOPClassUID=RTStructureSetStorage)
    made.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    del made.PixelData, made.Rows, made.Columns
    with pytest.raises(InputError, match=r"without pixels [(]modality RTSTRUCT"):
        read_image(save(tmp_path / "a.dcm", made))


def test_a_series_folder_is_one_image_and_single_pictures_are_many(tmp_path: Path) -> None:
    save_series(tmp_path / "all" / "ct", [0, 1, 2, 3, 4])
    save(tmp_path / "all" / "x1", make(STACK[0], series="7"))
    save(tmp_path / "all" / "x2.dcm", make(STACK[1], series="8"))
    assert [p.name for p in list_images(tmp_path / "all")] == ["ct", "x1", "x2.dcm"]
    assert list_images(tmp_path / "all" / "ct") == [tmp_path / "all" / "ct"]
    assert is_image(tmp_path / "all" / "ct")
    assert is_image(tmp_path / "all" / "x1")
    with_other_series(tmp_path / "mixed")
    assert list_images(tmp_path / "mixed") == [tmp_path / "mixed"]


def test_a_broken_picture_among_others_is_one_bad_file(tmp_path: Path) -> None:
    good = [save(tmp_path / name, make(STACK[n], series=str(n))) for n, name in enumerate(("a", "c.dcm"))]
    bad = tmp_path / "b.dcm"
    bad.write_bytes(good[0].read_bytes()[:300])
    assert list_images(tmp_path) == [good[0], bad, good[1]]
    with pytest.raises(InputError) as told:
        read_image(bad)
    assert told.value.path == bad


def test_mask_stored_as_dicom(tmp_path: Path) -> None:
    save_series(tmp_path / "m", [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(read_mask(tmp_path / "m"), STACK)


@pytest.mark.data
def test_public_series(data_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    samples = data_root / "DICOM_samples"
    ct = read_image(samples / "STS_001" / "CT" / "image")
    assert (ct.pixels.shape, ct.pixels.dtype) == ((1, 59, 202, 198), np.int16)
    assert ct.geometry.spacing == pytest.approx((3.27, 0.976562, 0.976562))
    assert -1100 <= ct.pixels.min() <= -900  # air in Hounsfield units
    pet = read_image(samples / "STS_001" / "PET" / "image")
    assert pet.shape[0] == 59
    # Both cover the same part of the patient: their volumes' centres lie within a PET voxel.
    centres = [i.geometry.affine @ [*(np.array(i.shape[::-1]) - 1) / 2, 1] for i in (ct, pet)]
    assert np.abs(centres[0] - centres[1]).max() < 4.7
    assert read_image(samples / "torchio_dicom").geometry.spacing == (2.0, 2.0, 2.0)
    xray = read_image(samples / "highdicom_test_files" / "dx_image.dcm")
    assert xray.shape == (169, 211)
    with pytest.raises(InputError, match="found none"):
        read_image(samples / "STS_001" / "CT" / "mask")
    assert capfd.readouterr() == ("", "")
