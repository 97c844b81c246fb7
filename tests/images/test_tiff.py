"""Any part of a TIFF file equals the same part of the whole, whatever the layout and compression."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from PIL import ImageOps

from leanseg.errors import InputError
from leanseg.images.guard import Budget
from leanseg.images.read import read_image, read_mask
from leanseg.images.tiff import TiffSource

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (70, 90, 3), np.uint8)
GREY = RGB[..., 0]
STACK = RNG.integers(0, 2**16, (6, 40, 50), np.uint16)

LAYOUTS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "plain": (RGB, {"photometric": "rgb"}),
    "lzw strips": (RGB, {"photometric": "rgb", "compression": "lzw", "rowsperstrip": 7, "predictor": True}),
    "deflate tiles": (RGB, {"photometric": "rgb", "compression": "zlib", "tile": (32, 16)}),
    "jpeg tiles": (RGB, {"photometric": "rgb", "compression": "jpeg", "tile": (32, 32)}),
    "jpeg strips": (GREY, {"compression": "jpeg", "rowsperstrip": 16}),
    "jpeg 2000": (RGB, {"photometric": "rgb", "compression": "jpeg2000", "tile": (32, 32)}),
    "packbits": (GREY, {"compression": "packbits"}),
    "big-endian 16 bits": (GREY.astype(">u2") * 200, {"byteorder": ">"}),
    "big-endian tiles": (GREY.astype(">u2") * 200, {"byteorder": ">", "tile": (16, 16)}),
    "float": (GREY.astype(np.float32) / 7, {"compression": "zlib", "predictor": 3, "tile": (16, 16)}),
    "bigtiff": (RGB, {"photometric": "rgb", "bigtiff": True, "tile": (64, 64), "compression": "zstd"}),
    "planar": (RGB.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32)}),
    "planar strips": (RGB.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate", "compression": "lzw"}),
    "stack": (STACK, {}),
    "stack of tiles": (STACK, {"tile": (16, 16), "compression": "zlib"}),
    "imagej stack": (STACK, {"imagej": True, "metadata": {"axes": "ZYX"}}),
    "rgb stack": (np.stack([RGB, 255 - RGB]), {"photometric": "rgb", "compression": "lzw"}),
    "channels": (STACK, {"metadata": {"axes": "CYX"}, "compression": "zlib"}),
    "ome": (STACK.reshape(3, 2, 40, 50), {"ome": True, "metadata": {"axes": "ZCYX"}, "compression": "zlib"}),
    "ome plain": (STACK.reshape(3, 2, 40, 50), {"ome": True, "metadata": {"axes": "ZCYX"}}),
    "one page of a stack": (STACK[:1], {"compression": "zlib"}),
}
CHANNEL_AXIS = {"channels": 0, "planar": 0, "planar strips": 0, "ome": 1, "ome plain": 1}


def channels_first(name: str, pixels: np.ndarray) -> np.ndarray:
    if name == "one page of a stack":
        return pixels.reshape(1, *pixels.shape[-2:])
    if name in CHANNEL_AXIS:
        return np.moveaxis(pixels, CHANNEL_AXIS[name], 0)
    return np.moveaxis(pixels, -1, 0) if pixels.shape[-1] == 3 else pixels[None]


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_part_equals_the_whole(tmp_path: Path, name: str) -> None:
    pixels, options = LAYOUTS[name]
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    expected = channels_first(name, tifffile.imread(tmp_path / "a.tif"))
    source = TiffSource(tmp_path / "a.tif", cache=5000)
    assert (source.channels, source.shape) == (expected.shape[0], expected.shape[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)
    rng = np.random.default_rng(2)
    for _ in range(25):
        ends = [np.sort(rng.integers(0, size + 1, 2)) for size in source.shape]
        region = [slice(int(a), int(b)) for a, b in ends]
        part = source.read(region)
        np.testing.assert_array_equal(part, expected[(slice(None), *region)])
        assert part.dtype.isnative
        assert part.dtype == source.dtype


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_tag_turns_parts_as_the_whole(tmp_path: Path, orientation: int) -> None:
    extra = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", tile=(16, 32), extratags=extra)
    with Picture.open(tmp_path / "a.tif") as picture:
        shown = np.asarray(ImageOps.exif_transpose(picture)).transpose(2, 0, 1)
    source = TiffSource(tmp_path / "a.tif")
    assert source.shape == shown.shape[1:]
    np.testing.assert_array_equal(source.read((slice(5, 60), slice(33, 70))), shown[:, 5:60, 33:70])


def test_white_is_zero_palette_bits_and_inks(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path).pixels, 255 - GREY[None])

    tifffile.imwrite(path, GREY > 99, photometric="minisblack")
    np.testing.assert_array_equal(read_mask(path), np.where(GREY > 99, 255, 0))

    table = RNG.integers(0, 256, (3, 256), np.uint16)
    tifffile.imwrite(path, GREY, photometric="palette", colormap=table * 257, compression="lzw")
    np.testing.assert_array_equal(read_image(path).pixels, table[:, GREY])
    np.testing.assert_array_equal(read_mask(path), GREY)

    ramp = np.tile(np.arange(255, -1, -1, dtype=np.uint16) * 257, (3, 1))
    tifffile.imwrite(path, GREY, photometric="palette", colormap=ramp)
    np.testing.assert_array_equal(read_mask(path), 255 - GREY)
    assert read_image(path).channels == 1

    Picture.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
    np.testing.assert_array_equal(read_image(path).pixels[:, 0, 0], (255, 0, 0))


def test_transparency_is_dropped_but_a_fourth_channel_stays(tmp_path: Path) -> None:
    four = np.dstack([RGB, GREY])
    tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "b.tif", four, photometric="rgb", extrasamples=["unspecified"], tile=(16, 16))
    assert read_image(tmp_path / "a.tif").channels == 3
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").pixels, four.transpose(2, 0, 1))


def test_two_pictures_in_one_file_are_refused_but_a_thumbnail_is_passed_over(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:30], metadata=None)
    with pytest.raises(InputError, match="found 2"):
        read_image(tmp_path / "a.tif")
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(GREY[::2, ::2], subfiletype=1, metadata=None)
        writer.write(GREY, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").pixels[0], GREY)


def test_time_axis_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(InputError, match=r"a\.tif: .*T = 6"):
        read_image(tmp_path / "a.tif")


def test_missing_tiles_are_found_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages.first.dataoffsets[-1]
    path.write_bytes(path.read_bytes()[: last + 5])
    source = TiffSource(path)
    source.read((slice(0, 16), slice(0, 16)))
    with pytest.raises(InputError, match="cut off"):
        source.read((slice(60, 70), slice(80, 90)))


def test_a_single_huge_strip_cannot_be_streamed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", compression="zlib", rowsperstrip=70)
    with pytest.raises(InputError, match="single strip"):
        TiffSource(tmp_path / "a.tif", budget=Budget(memory=10_000))


def test_whole_decoding_beyond_the_limit_says_that_it_can_be_streamed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", tile=(16, 16))
    with pytest.raises(InputError, match="piece by piece"):
        read_image(tmp_path / "a.tif", max_pixels=10_000)


def test_threads_may_share_a_source(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", tile=(16, 16), compression="zlib")
    source = TiffSource(tmp_path / "a.tif", cache=2000)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda y: source.read((slice(y, y + 9), slice(0, 90))), list(range(60)) * 3))
    for y, part in zip(list(range(60)) * 3, parts, strict=True):
        np.testing.assert_array_equal(part, RGB[y : y + 9].transpose(2, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zlib", None])
def test_memory_stays_flat_on_a_large_slide(tmp_path: Path, compression: str | None) -> None:
    side = 8192
    tile = np.zeros((512, 512, 3), np.uint8)
    count = (side // 512) ** 2
    options = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb", "tile": (512, 512)}
    tifffile.imwrite(tmp_path / "a.tif", (tile for _ in range(count)), compression=compression, **options)
    source = TiffSource(tmp_path / "a.tif", cache=8 * 2**20)
    tracemalloc.start()
    for top in range(0, side, 1024):
        for left in range(0, side, 1024):
            source.read((slice(top, top + 1024), slice(left, left + 1024)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 2**20  # of 192 MiB: the cache, one part and one tile
