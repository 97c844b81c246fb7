"""What is written about one image whose classes overlap, and the small copy of one that is read in pieces."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from leanseg.images.preprocess import Preprocessing
from leanseg.images.read import read_mask
from leanseg.inference.predictor import Band, Predictor
from leanseg.types import Classes
from leanseg.workflows.segment_one import Outcome, Wanted, _shrink_into, segment_one

TWO = Classes(names=("disc", "cup"), values=(128, 255), overlapping=True)


def noise(path: Path) -> Path:
    """A colour picture in which a random net finds both classes."""
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (150, 190, 3), dtype=np.uint8)).save(path)
    return path


def segmented(bundle, path: Path, out: Path, **wanted) -> Outcome:
    return segment_one(path, stem="a", predictor=Predictor(bundle=bundle), out=out, wanted=Wanted(**wanted))


def masks(out: Path, ending: str = ".png") -> list[np.ndarray]:
    return [read_mask(out / "masks" / name / f"a{ending}") > 0 for name in TWO.names]


def test_classes_are_merged_into_one_map_in_their_colours(make_bundle, tmp_path):
    bundle = make_bundle("strided", classes=TWO, threshold=(0.3, 0.7))
    found = segmented(bundle, noise(tmp_path / "a.png"), tmp_path, probabilities=True)
    disc, cup = masks(tmp_path)
    merged = read_mask(tmp_path / "merged" / "a.png")
    assert set(np.unique(merged)) == {0, 1, 2}
    np.testing.assert_array_equal(merged > 0, disc | cup)
    p, q = tifffile.imread(tmp_path / "probabilities" / "a.tif")
    both = disc & cup
    assert both.sum() > 100
    np.testing.assert_array_equal(merged[both] == 2, (q / np.float32(0.7) > p / np.float32(0.3))[both])
    np.testing.assert_array_equal(merged[disc & ~cup], 1)
    with Pillow.open(tmp_path / "merged" / "a.png") as shown:
        assert (shown.mode, shown.getpalette()[:9]) == ("P", [0, 0, 0, 0x56, 0xB4, 0xE9, 0xE6, 0x9F, 0])
    assert [row.shared_pixels for row in found.rows] == [both.sum()] * 2
    assert [row.area_pixels for row in found.rows] == [disc.sum(), cup.sum()], "shared pixels included"


def test_what_is_taken_out_of_a_mask_is_not_in_the_merged_map(make_bundle, tmp_path):
    bundle = make_bundle("strided", classes=replace(TWO, single_object=True))
    segmented(bundle, noise(tmp_path / "a.png"), tmp_path)
    disc, cup = masks(tmp_path)
    np.testing.assert_array_equal(read_mask(tmp_path / "merged" / "a.png") > 0, disc | cup)


def test_classes_that_exclude_each_other_have_nothing_to_merge(make_bundle, tmp_path):
    bundle = make_bundle("strided", classes=replace(TWO, overlapping=False))
    found = segmented(bundle, noise(tmp_path / "a.png"), tmp_path)
    assert not (tmp_path / "merged").exists()
    assert [row.shared_pixels for row in found.rows] == [None, None]


def test_merged_volumes_hold_numbers(make_bundle, tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 26, 4)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "scan.nii.gz")
    bundle = make_bundle("strided", classes=TWO, preprocessing=Preprocessing(channels=("MR",)))
    segmented(bundle, tmp_path / "scan.nii.gz", tmp_path)
    disc, cup = masks(tmp_path, ".nii.gz")
    merged = read_mask(tmp_path / "merged" / "a.nii.gz")
    assert set(np.unique(merged)) == {0, 1, 2}
    np.testing.assert_array_equal(merged > 0, disc | cup)


@pytest.mark.parametrize("block", [1, 2, 5, 40])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_the_small_copy_of_a_streamed_mask_keeps_every_pixel_found(lead, block):
    rng = np.random.default_rng(block)
    labels = (rng.random((*lead, 37, 29)) < 0.02).astype(np.uint8) * rng.integers(1, 4, (*lead, 37, 29), np.uint8)
    rows, columns = -(-37 // block), -(-29 // block)
    padded = np.zeros((*lead, rows * block, columns * block), np.uint8)
    padded[..., :37, :29] = labels
    small = np.zeros((*lead, rows, columns), np.uint8)
    for start, stop in itertools.pairwise([0, 3, 4, 10, 20, 37]):
        part = labels[..., start:stop, :]
        band = Band(rows=slice(start, stop), labels=part, probabilities=part.astype(np.float32), field=part > 0)
        _shrink_into(small, band, block)
    np.testing.assert_array_equal(small, padded.reshape(*lead, rows, block, columns, block).max(axis=(-3, -1)))
