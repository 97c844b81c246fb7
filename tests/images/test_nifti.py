"""NIfTI volumes: reversed axes, millimetres and nothing lost."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from leanseg.errors import InputError
from leanseg.images.read import read_image, read_mask

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # (x, y, z)
AFFINE = np.array([[0, 0, 3.0, -5], [-0.5, 0, 0, 6], [0, 2, 0, 7], [0, 0, 0, 1]])


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, unit: str = "mm") -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_axes_are_reversed_and_the_affine_kept(tmp_path: Path, name: str) -> None:
    image = read_image(save(tmp_path / name, VOXELS))
    assert image.pixels.shape == (1, 4, 3, 2)
    assert image.pixels[0, 3, 1, 0] == VOXELS[0, 1, 3]
    assert image.pixels.dtype == np.int16
    assert image.geometry.spacing == (3.0, 2.0, 0.5)
    np.testing.assert_allclose(image.geometry.affine, AFFINE)
    assert image.stem == "a"


def test_fourth_axis_is_channels(tmp_path: Path) -> None:
    four = np.stack([VOXELS, -VOXELS], axis=-1)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.nii", four)).pixels, four.T)
    vector = four[:, :, :, None]
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.nii", vector)).pixels, four.T)
    with pytest.raises(InputError, match="four axes"):
        read_image(save(tmp_path / "c.nii", np.stack([four, four], axis=3)))
    with pytest.raises(InputError, match="2 channels that differ"):
        read_mask(tmp_path / "a.nii")


def test_rescale_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = np.array([0.5, -10], np.float32).tobytes()
    raw[352:] = VOXELS.tobytes("F")
    (tmp_path / "a.nii").write_bytes(raw)
    pixels = read_image(tmp_path / "a.nii").pixels
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0], VOXELS.T * 0.5 - 10)


@pytest.mark.parametrize("voxels", [VOXELS[..., 0], VOXELS[..., :1]], ids=["two axes", "one slice"])
def test_one_slice_is_a_picture(tmp_path: Path, voxels: np.ndarray) -> None:
    image = read_image(save(tmp_path / "a.nii", voxels))
    np.testing.assert_array_equal(image.pixels, VOXELS[..., 0].T[None])
    assert image.geometry.spacing == (2.0, 0.5)


def test_colour_voxels(tmp_path: Path) -> None:
    colour = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"], colour["B"] = VOXELS, 255 - VOXELS
    pixels = read_image(save(tmp_path / "a.nii", colour)).pixels
    np.testing.assert_array_equal(pixels, np.stack([VOXELS.T, np.zeros_like(VOXELS.T), 255 - VOXELS.T]))


@pytest.mark.parametrize(("unit", "factor"), [("micron", 0.001), ("meter", 1000.0), ("unknown", 1.0)])
def test_lengths_are_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    geometry = read_image(save(tmp_path / "a.nii", VOXELS, unit=unit)).geometry
    np.testing.assert_allclose(geometry.spacing, np.array([3.0, 2.0, 0.5]) * factor)
    np.testing.assert_allclose(geometry.affine[:3], AFFINE[:3] * factor)


def test_unusable_affine_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", VOXELS)
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[280:296] = bytes(16)  # the first row of the affine
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(InputError, match="voxel size above 0"):
        read_image(tmp_path / "a.nii")


def test_complex_voxels_and_claimed_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="real numbers"):
        read_image(save(tmp_path / "a.nii", VOXELS.astype(np.complex64)))
    save(tmp_path / "b.nii", VOXELS)
    raw = bytearray((tmp_path / "b.nii").read_bytes())
    raw[40:48] = np.array([3, 30000, 30000, 30000], np.int16).tobytes()
    (tmp_path / "b.nii").write_bytes(raw)
    with pytest.raises(InputError, match="30000 x 30000 x 30000"):
        read_image(tmp_path / "b.nii")


def test_float_labels_become_integers(tmp_path: Path) -> None:
    values = read_mask(save(tmp_path / "a.nii.gz", (VOXELS % 3).astype(np.float64)))
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, (VOXELS % 3).T)
