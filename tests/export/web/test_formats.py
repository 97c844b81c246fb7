"""The page reads files as Python does, and writes PNG masks and tables that Python reads back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from export.web.node import run
from leanseg.images.read import read_image, read_mask

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (19, 27), np.uint8)
COLOUR = RNG.integers(0, 256, (19, 27, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (19, 27), np.uint16)
SMOOTH = (np.add.outer(np.arange(19), np.arange(27)) * 4).astype(np.uint8)

READ = """
  const { readPng } = await load("formats/png.js");
  const { readTiff } = await load("formats/tiff.js");
  const { readDicom } = await load("formats/dicom.js");
  try {
    return await { png: readPng, tiff: readTiff, dicom: readDicom }[input.format](input.file, input.mask);
  } catch (error) {
    return { failed: error.constructor.name, message: error.message };
  }
"""


def read(path: Path, kind: str, *, mask: bool = False) -> Any:
    """What the page reads: pixels (C, H, W), or the message of its refusal."""
    found = run(READ, path.parent, file=path.read_bytes(), format=kind, mask=mask)
    if "failed" in found:
        assert found["failed"] == "InputError", found["message"]
        return found["message"]
    return found["pixels"].reshape(found["channels"], found["height"], found["width"])


def picture(mode: str) -> Pillow.Image:
    """One picture in a mode of Pillow."""
    if mode == "grey palette":
        return Pillow.fromarray(GREY % 5).convert("L").quantize(5)
    if mode == "palette":
        return Pillow.fromarray(COLOUR).quantize(7)
    if mode == "1":
        return Pillow.fromarray(GREY > 90)
    if mode == "I;16":
        return Pillow.fromarray(DEEP)
    return Pillow.fromarray(COLOUR).convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "1", "I;16", "palette", "grey palette"])
def test_png(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(mode).save(path)
    wanted = read_image(path).pixels
    found = read(path, "png")
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    if mode in ("palette", "1", "L"):
        np.testing.assert_array_equal(read(path, "png", mask=True)[0], read_mask(path))


def test_png_filters_and_orientation(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(np.dstack([SMOOTH, SMOOTH.T[:19, :19].repeat(2, 1)[:, :27], SMOOTH[::-1]])).save(path, exif=exif)
    np.testing.assert_array_equal(read(path, "png"), read_image(path).pixels)


def test_png_interlaced(tmp_path: Path) -> None:
    # Pillow does not write interlaced files: seven passes without a filter, by hand.
    import struct
    import zlib

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"".join(b"\0" + row.tobytes() for row in COLOUR[y::dy, x::dx])
        for x, y, dx, dy in passes
        if COLOUR[y::dy, x::dx].size
    )

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    path = tmp_path / "a.png"
    head = struct.pack(">IIBBBBB", 27, 19, 8, 2, 0, 0, 1)
    chunks = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    np.testing.assert_array_equal(read_image(path).pixels, COLOUR.transpose(2, 0, 1))
    np.testing.assert_array_equal(read(path, "png"), COLOUR.transpose(2, 0, 1))


TIFFS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "plain": (COLOUR, {"photometric": "rgb"}),
    "lzw": (COLOUR, {"photometric": "rgb", "compression": "lzw", "predictor": True}),
    "lzw long": (RNG.integers(0, 3, (90, 200), np.uint8), {"compression": "lzw"}),
    "deflate": (DEEP, {"compression": "zlib", "predictor": True, "rowsperstrip": 4}),
    "packbits": (GREY // 90, {"compression": "packbits"}),
    "tiles": (COLOUR, {"photometric": "rgb", "tile": (16, 16), "compression": "lzw"}),
    "planes": (COLOUR.transpose(2, 0, 1).copy(), {"photometric": "rgb", "planarconfig": "separate"}),
    "big endian": (DEEP, {"byteorder": ">"}),
    "white is zero": (GREY, {"photometric": "miniswhite"}),
    "alpha": (np.dstack([COLOUR, GREY]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "palette": (GREY % 4, {"photometric": "palette", "colormap": RNG.integers(0, 65536, (3, 256), np.uint16)}),
    "bits": (GREY > 90, {}),
    "turned": (GREY, {"extratags": [(274, "H", 1, 8, True)]}),
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff(name: str, tmp_path: Path) -> None:
    pixels, options = TIFFS[name]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, metadata=None, **options)
    wanted = read_image(path).pixels
    found = read(path, "tiff")
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"compression": "zstd"}, "cannot unpack TIFF compression"),
        ({"bigtiff": True}, "BigTIFF"),
        ({"shape": (2, 19, 27)}, "2 pictures"),
        ({"dtype": np.float32}, "1, 8 or 16 bits"),
    ],
)
def test_tiffs_that_are_refused(options: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.resize(GREY, options.pop("shape", GREY.shape)).astype(options.pop("dtype", np.uint8))
    tifffile.imwrite(path, pixels, metadata=None, photometric="minisblack", **options)
    assert wanted in read(path, "tiff")


@pytest.mark.parametrize(("kind", "start"), [("png", 150), ("tiff", 300), ("dicom", 700)])
def test_files_that_are_cut_off(kind: str, start: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "dicom":
        write_dicom(path, DEEP)
    elif kind == "png":
        Pillow.fromarray(COLOUR).save(path)
    else:
        tifffile.imwrite(path, COLOUR, photometric="rgb", compression="lzw")
    path.write_bytes(path.read_bytes()[:start])
    assert "again" in read(path, kind)


def write_dicom(path: Path, pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, **fields: Any) -> None:
    """A minimal DICOM picture with a nested sequence before its pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = Dataset()
    file.file_meta = meta
    inner = Dataset()
    inner.PatientID = "somebody"
    inner.AnatomicRegionSequence = [Dataset()]
    file.ReferencedImageSequence = [inner, inner]
    file["ReferencedImageSequence"].is_undefined_length = True
    file.Modality = "OT"
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    file.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 8 * pixels.dtype.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    for name, value in fields.items():
        setattr(file, name, value)
    file.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    file.save_as(path, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)


@pytest.mark.parametrize(
    ("pixels", "fields"),
    [
        (GREY, {}),
        (DEEP, {"syntax": ImplicitVRLittleEndian}),
        (DEEP // 16, {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}),
        (DEEP.view(np.int16), {"RescaleSlope": 0.5, "RescaleIntercept": -1024}),
        (COLOUR, {}),
    ],
)
def test_dicom(pixels: np.ndarray, fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(path, pixels, **fields)
    wanted = read_image(path).pixels
    np.testing.assert_array_equal(read(path, "dicom"), wanted)


def test_compressed_dicom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(path, GREY)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    assert "compressed" in read(path, "dicom")


@pytest.mark.parametrize("highest", [255, 1000])
def test_masks_and_tables_that_are_saved(highest: int, tmp_path: Path) -> None:
    body = """
      const { maskFiles, tableFile } = await load("page/download.js");
      const classes = { names: ["a b", "c"], values: [1, input.highest], background: 0, overlapping: false };
      const [mask] = await maskFiles("eye.one.jpg", input.labels, classes, 19, 27);
      const both = { ...classes, overlapping: true };
      const labels = new Uint8Array(2 * 19 * 27);
      const names = (await maskFiles("eye.jpg", labels, both, 19, 27)).map(({ name }) => name);
      const row = { image: 'a, "b".png', class: "c", area_pixels: 12, fraction: 1 / 3, threshold: null, dice: 0.5 };
      const table = await tableFile([row]).content.text();
      return { name: mask.name, bytes: new Uint8Array(await mask.content.arrayBuffer()), names, table };
    """
    labels = GREY % 3
    found = run(body, tmp_path, labels=labels, highest=highest)
    assert found["name"] == "eye.one_mask.png"
    assert found["names"] == ["eye_a_b.png", "eye_c.png"]
    assert found["table"].splitlines() == [
        "image,class,area_pixels,fraction,threshold,dice",
        '"a, ""b"".png",c,12,0.333333,,0.5',
    ]
    path = tmp_path / found["name"]
    path.write_bytes(found["bytes"].tobytes())
    np.testing.assert_array_equal(read_mask(path), np.array([0, 1, highest])[labels])
