"""Every kind of picture comes back as it is displayed, and every broken file gives one clear error."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Picture

from leanseg.errors import InputError
from leanseg.images.guard import decoding
from leanseg.images.image import Image
from leanseg.images.orientation import stored_region, stored_shape, upright
from leanseg.images.read import is_image, list_images, open_image, read_image, read_mask
from leanseg.images.tiff import TiffSource

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 5, 3), np.uint8)
GREY = RNG.integers(0, 256, (7, 5), np.uint8)


def palette_picture(index: np.ndarray, colours: list[tuple[int, int, int]]) -> Picture.Image:
    picture = Picture.fromarray(index).convert("L")
    picture = Picture.frombytes("P", picture.size, index.tobytes())
    picture.putpalette([level for colour in colours for level in colour])
    return picture


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "A.PNG"])
def test_rgb_pixels_are_exact(tmp_path: Path, name: str) -> None:
    Picture.fromarray(RGB).save(tmp_path / name)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image.pixels, RGB.transpose(2, 0, 1))
    assert (image.source, image.stem, image.dims) == (tmp_path / name, Path(name).stem, 2)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.pgm", "a.gif"])
def test_grey_pixels_are_exact_and_one_channel(tmp_path: Path, name: str) -> None:
    Picture.fromarray(GREY).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, GREY[None])
    np.testing.assert_array_equal(read_mask(tmp_path / name), GREY)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_dropped(tmp_path: Path, mode: str) -> None:
    Picture.fromarray(RGB).convert(mode).save(tmp_path / "a.png")
    expected = RGB.transpose(2, 0, 1) if mode == "RGBA" else np.asarray(Picture.fromarray(RGB).convert("L"))[None]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path, channels: int) -> None:
    deep = RNG.integers(0, 2**16, (7, 5, channels), np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep.squeeze()))
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, deep.transpose(2, 0, 1)[: {1: 1, 2: 1, 3: 3, 4: 3}[channels]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    picture = Picture.fromarray(np.kron(RGB, np.ones((16, 16, 1), np.uint8)))
    exif = Picture.Exif()
    exif[274] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    tall = orientation < 5
    pixels = read_image(tmp_path / "a.jpg").pixels
    assert pixels.shape == (3, 112, 80) if tall else (3, 80, 112)
    from PIL import ImageOps

    with Picture.open(tmp_path / "a.jpg") as found:
        shown = np.asarray(ImageOps.exif_transpose(found))
    np.testing.assert_array_equal(pixels, shown.transpose(2, 0, 1))


@given(
    orientation=st.integers(1, 8),
    stored=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)),
    data=st.data(),
)
def test_stored_region_is_the_displayed_one(orientation: int, stored: np.ndarray, data: st.DataObject) -> None:
    shown = upright(stored, orientation)
    assert stored_shape(stored.shape, orientation) == shown.shape
    region = []
    for size in shown.shape:
        start = data.draw(st.integers(0, size - 1))
        region.append(slice(start, data.draw(st.integers(start + 1, size))))
    part = stored[stored_region(region, shown.shape, orientation)]
    np.testing.assert_array_equal(upright(part, orientation), shown[tuple(region)])


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Picture.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red = read_image(tmp_path / "a.jpg").pixels[:, 8, 8].astype(int)
    np.testing.assert_allclose(red, (254, 0, 0), atol=6)


def test_broken_exif_leaves_the_picture_readable(tmp_path: Path) -> None:
    Picture.fromarray(RGB).save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense")
    assert read_image(tmp_path / "a.jpg").pixels.shape == (3, 7, 5)


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_inverted_grey_palette_gives_grey_values(tmp_path: Path, ending: str) -> None:
    index = np.array([[0, 1], [1, 0]], np.uint8)
    palette_picture(index, [(255, 255, 255), (0, 0, 0)]).save(tmp_path / f"fov.{ending}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"fov.{ending}"), [[255, 0], [0, 255]])
    np.testing.assert_array_equal(read_image(tmp_path / f"fov.{ending}").pixels, [[[255, 0], [0, 255]]])


def test_nearly_grey_gif_palette_with_unused_colours(tmp_path: Path) -> None:
    index = np.array([[0, 1], [1, 0]], np.uint8)
    colours = [(4, 2, 4), (252, 254, 252), (0, 19, 0), (9, 9, 200)]
    palette_picture(index, colours).save(tmp_path / "a.gif", optimize=False)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.gif"), [[3, 253], [253, 3]])


def test_colour_palette_gives_index_as_mask_and_colours_as_image(tmp_path: Path) -> None:
    index = np.array([[0, 1, 2], [3, 2, 1]], np.uint8)
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 128)]
    palette_picture(index, colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), index)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, np.array(colours)[index].transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1"])
def test_masks_with_needless_channels(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    Picture.fromarray(values).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), values)


def test_jpeg_mask_keeps_its_ramps(tmp_path: Path) -> None:
    values = np.zeros((16, 16), np.uint8)
    values[:, 5:] = 255
    Picture.fromarray(values).save(tmp_path / "a.jpg", quality=60)
    assert len(np.unique(read_mask(tmp_path / "a.jpg"))) > 2


def test_colour_mask_is_refused(tmp_path: Path) -> None:
    Picture.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: .*3 channels that differ"):
        read_mask(tmp_path / "a.png")


def test_mask_drawn_in_transparency_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    Picture.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    with pytest.raises(InputError, match="transparency"):
        read_mask(tmp_path / "a.png")


def test_fractions_are_no_mask(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0.0, 0.5]], np.float32))
    tifffile.imwrite(tmp_path / "b.tif", np.array([[0.0, 300.00001]], np.float32))
    with pytest.raises(InputError, match="whole numbers"):
        read_mask(tmp_path / "a.tif")
    found = read_mask(tmp_path / "b.tif")
    assert (found.dtype, found.tolist()) == (np.uint16, [[0, 300]])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii.gz", "a.bmp"])
def test_one_pixel_is_an_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    one = np.full((1, 1), 7, np.uint8)
    if name == "a.tif":
        tifffile.imwrite(path, one)
    elif name == "a.nii.gz":
        nibabel.save(nibabel.Nifti1Image(one[..., None], np.eye(4)), path)
    else:
        Picture.fromarray(one).save(path)
    np.testing.assert_array_equal(read_image(path).pixels, [[[7]]])


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def nan_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.array([[0, np.nan], [np.inf, 1]], np.float32))


def animated_gif(path: Path) -> None:
    frames = [Picture.fromarray(GREY), Picture.fromarray(255 - GREY)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def cut(make: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return write


NOISE = RNG.integers(0, 256, (64, 64, 3), np.uint8)
BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("a.png", lambda p: None, "nothing there"),
    "missing tiff": ("a.tif", lambda p: None, "nothing there"),
    "empty": ("a.png", lambda p: p.write_bytes(b""), "empty"),
    "empty nifti": ("a.nii.gz", lambda p: p.write_bytes(b""), "empty"),
    "text": ("a.png", lambda p: p.write_text("not a picture"), "other content"),
    "text tiff": ("a.tif", lambda p: p.write_text("not a picture"), "TIFF"),
    "text nifti": ("a.nii", lambda p: p.write_text("not a volume" * 100), "NIfTI"),
    "text dicom": ("a.dcm", lambda p: p.write_text("not a slice" * 100), "DICOM"),
    "cut png": ("a.png", cut(lambda p: Picture.fromarray(NOISE).save(p), 0.5), "truncated"),
    "cut jpeg": ("a.jpg", cut(lambda p: Picture.fromarray(NOISE).save(p), 0.5), "truncated"),
    "cut gif": ("a.gif", cut(lambda p: Picture.fromarray(NOISE[..., 0]).save(p), 0.5), "cannot be read"),
    "cut bmp": ("a.bmp", cut(lambda p: Picture.fromarray(NOISE).save(p), 0.5), "cannot be read"),
    "cut tiff": ("a.tif", cut(lambda p: tifffile.imwrite(p, NOISE, photometric="rgb"), 0.5), "TIFF|cut off"),
    "cut lzw": ("a.tif", cut(lambda p: tifffile.imwrite(p, NOISE[..., 0], compression="lzw"), 0.5), "TIFF|cut off"),
    "cut nifti": (
        "a.nii.gz",
        cut(lambda p: nibabel.save(nibabel.Nifti1Image(NOISE, np.eye(4)), p), 0.5),
        "cannot be read as a NIfTI",
    ),
    "bomb": ("a.png", lambda p: p.write_bytes(png_that_claims(60000, 60000)), "60000 x 60000"),
    "no size": ("a.png", lambda p: p.write_bytes(png_that_claims(0, 5)), "a.png"),
    "nan": ("a.tif", nan_tiff, "2 NaN"),
    "nan nifti": (
        "a.nii",
        lambda p: nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), np.nan, np.float32), np.eye(4)), p),
        "8 NaN",
    ),
    "animation": ("a.gif", animated_gif, "animation of 2"),
    "unknown": ("a.xyz", lambda p: p.write_text("x"), "unknown kind"),
    "empty folder": ("series", lambda p: p.mkdir(), "found none"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("read", [read_image, read_mask, open_image])
def test_bad_input_gives_one_clear_error(
    tmp_path: Path, case: str, read: Callable[[Path], object], capfd: pytest.CaptureFixture[str]
) -> None:
    name, make, message = BAD[case]
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / name)
    assert caught.value.path == tmp_path / name
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_large_pictures_pass_by_the_limit_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Picture.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", 4)
    assert read_image(tmp_path / "a.png").shape == (7, 5)
    with pytest.raises(InputError, match="at most 104 samples, found 7 x 5 x 3 = 105"):
        read_image(tmp_path / "a.png", max_pixels=104)


def test_open_image_streams_only_what_is_too_large(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="rgb", tile=(16, 16), compression="zlib")
    Picture.fromarray(NOISE).save(tmp_path / "b.png")
    assert isinstance(open_image(tmp_path / "a.tif"), Image)
    assert isinstance(open_image(tmp_path / "a.tif", memory=NOISE.nbytes), Image)
    streamed = open_image(tmp_path / "a.tif", memory=NOISE.nbytes - 1)
    assert isinstance(streamed, TiffSource)
    np.testing.assert_array_equal(streamed.read((slice(3, 40), slice(9, 20))), NOISE[3:40, 9:20].transpose(2, 0, 1))
    with pytest.raises(InputError, match="memory limit"):
        open_image(tmp_path / "b.png", memory=1000)


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt", "c.nii.gz"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.png").write_text("x")
    names = [path.name for path in list_images(tmp_path)]
    assert names == ["a.JPG", "b.png", "c.nii.gz"]
    assert list_images([tmp_path / "b.png", tmp_path]) == [tmp_path / n for n in ("b.png", "a.JPG", "c.nii.gz")]
    assert list_images(tmp_path / "*" / "*.png") == [tmp_path / "sub" / "d.png"]
    assert is_image(tmp_path / "a.JPG")
    assert not is_image(tmp_path / "notes.txt")
    (tmp_path / "none").mkdir()
    for wrong in (tmp_path / "none", tmp_path / "gone.png", tmp_path / "*.tif"):
        with pytest.raises(InputError):
            list_images(wrong)


def test_decoders_own_words_are_left_out_where_private() -> None:
    with pytest.raises(InputError) as caught, decoding(Path("a.dcm"), "a DICOM image", private=True):
        raise ValueError("Doe^Jane")
    assert "Doe" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.data
def test_public_images_open(data_root: Path) -> None:
    endings = ("png", "jpg", "tif", "gif", "gz")
    folders = sorted({path.parent for ending in endings for path in data_root.rglob(f"*.{ending}")})
    assert folders
    for folder in folders:
        listed = list_images(folder)
        for path in [listed[0], listed[len(listed) // 2], listed[-1]]:
            image = read_image(path)
            assert image.channels in (1, 2, 3), path
            if "mask" in folder.name or "label" in folder.name or folder.name in ("fov", "1st_manual", "2nd_manual"):
                assert read_mask(path).shape == image.shape, path


@pytest.mark.data
def test_public_masks_of_vessels_have_two_values(data_root: Path) -> None:
    for path in [
        *(data_root / "DRIVE").rglob("*.gif"),
        *(data_root / "CHASE_DB1" / "fov").iterdir(),
        *(data_root / "FIVES_7" / "masks").iterdir(),
    ]:
        values = np.unique(read_mask(path))
        assert len(values) == 2, path
        assert values[0] <= 3, path
        assert values[1] >= 252, path
    fov = read_mask(next((data_root / "CHASE_DB1" / "fov").iterdir()))
    assert (fov[0, 0], fov[480, 500]) == (0, 255)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    Picture.fromarray(GREY).save(tmp_path / "a.png")
    assert read_image(str(tmp_path / "a.png")).source == tmp_path / "a.png"
