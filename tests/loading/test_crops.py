"""Crops: the same for the same numbers, and exact copies where nothing is warped."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from leanseg.data.dataset import Case
from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Batch, Crops
from leanseg.loading.samples import Sample
from testers.samples import numbered

EXACT = Augmentation(warped=0, gain=0, offset=0)
SAMPLES = [numbered(20, 23), numbered(31, 18, stem="bb")]


def crops(samples: Any = SAMPLES, **settings: Any) -> Crops:
    return Crops(samples, **{"size": 9, "batch": 3, "augmentation": Augmentation(), **settings})


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items())


def check_copies(batch: Batch, samples: list[Sample]) -> None:
    """Every pixel of a crop is a pixel of its image with its own label, or outside."""
    for image, target, valid, index in zip(*(batch[k] for k in ("image", "target", "valid", "index")), strict=True):
        inside = image[0] > 0
        assert torch.equal(image, image.round())
        assert torch.equal(valid[0] > 0, inside)
        assert not target[:, ~inside].any()
        assert inside.any()
        places = image[0][inside].long() - 1
        assert len(places.unique()) == len(places)
        assert torch.equal(target[:, inside], samples[int(index)].target.flatten(1)[:, places])


@given(
    size=st.integers(1, 24), height=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 1000),
    overlapping=st.booleans(),
)  # fmt: skip
def test_unwarped_crops_copy_pixels(size: int, height: int, width: int, seed: int, overlapping: bool) -> None:
    samples = [numbered(height, width, overlapping=overlapping)]
    batch = crops(samples, size=size, batch=2, augmentation=EXACT, seed=seed)[5]
    assert batch["image"].shape == (2, 1, size, size)
    assert batch["target"].shape == (2, 1 + overlapping, size, size)
    assert batch["valid"].shape == (2, 1, size, size)
    check_copies(batch, samples)
    shown = min(size, height) * min(size, width) if height == width else None
    assert shown is None or all(int(valid.sum()) == shown for valid in batch["valid"]), "nothing is shown but the image"


@pytest.mark.parametrize("size", [8, 9])
def test_the_transform_says_where_pixels_come_from(size: int) -> None:
    batch = crops([SAMPLES[0]], size=size, augmentation=EXACT)[0]
    for image, matrix in zip(batch["image"], batch["transform"].double().numpy(), strict=True):
        for row in range(size):
            for column in range(size):
                x, y = matrix @ [column, row, 1]
                assert x == round(x) and y == round(y)
                inside = 0 <= x < 23 and 0 <= y < 20
                assert image[0, row, column] == (1 + 23 * y + x if inside else 0)


def test_the_numbers_of_a_batch_decide_it() -> None:
    first = crops()
    forwards = [first[step] for step in range(4)]
    assert all(same(crops()[step], forwards[step]) for step in reversed(range(4)))
    assert not same(forwards[0], forwards[1])
    assert not same(crops(seed=1)[0], forwards[0])


def test_a_batch_of_one_image_differs_from_step_to_step() -> None:
    batches = [crops(one_image=True, batch=8)[step] for step in range(20)]
    assert all(len(batch["index"].unique()) == 1 for batch in batches)
    assert {int(batch["index"][0]) for batch in batches} == {0, 1}
    assert not any(torch.equal(batch["image"][0], batch["image"][1]) for batch in batches)
    assert any(len(crops(batch=8)[step]["index"].unique()) == 2 for step in range(3))


def test_workers_change_nothing() -> None:
    loader = DataLoader(crops(), batch_size=None, sampler=[2, 0, 1], num_workers=2, multiprocessing_context="fork")
    for step, batch in zip([2, 0, 1], loader, strict=True):
        assert same(batch, crops()[step])


def test_processes_share_a_batch() -> None:
    alone = crops(batch=6)[4]
    parts = [crops(), crops()]
    for rank, part in enumerate(parts):
        part.share(rank=rank, world=2)
    together = [part[4] for part in parts]
    assert not same(*together)
    for key in ("image", "target", "valid", "index", "transform"):
        assert torch.equal(torch.cat([part[key] for part in together]), alone[key])


def test_names_travel_along() -> None:
    batch = crops(batch=20)[0]
    assert set(batch["index"].tolist()) == {0, 1}
    assert batch["patient"] == [f"patient {SAMPLES[i].case.stem}" for i in batch["index"]]
    assert batch["site"] == ["here"] * 20


def test_labelled_and_unlabelled_images_share_a_batch() -> None:
    samples = [SAMPLES[0], numbered(12, 12, stem="c", labelled=False)]
    batch = crops(samples, batch=20)[0]
    assert batch["labelled"].tolist() == [i == 0 for i in batch["index"]]
    assert not batch["target"][~batch["labelled"]].any()


@pytest.mark.parametrize("dims", [2, 3])
def test_volumes_give_slices_or_cubes(dims: int) -> None:
    samples = [numbered(6, 9, 11)]
    batch = crops(samples, size=5, batch=8, dims=dims, augmentation=EXACT)[0]
    assert batch["image"].shape == (8, 1, *[5] * dims)
    check_copies(batch, samples)
    depths = [((image[image > 0] - 1) // 99).unique() for image in batch["image"]]
    assert all(len(depth) == 1 for depth in depths) == (dims == 2)


def test_cubes_are_mirrored_only_when_asked() -> None:
    def rising(flips: bool) -> set[tuple[bool, ...]]:
        batch = crops(
            [numbered(20, 20, 20)], size=3, batch=100, dims=3, augmentation=Augmentation(flips=flips, gain=0, offset=0)
        )[0]
        lines = [(image[0, :, 1, 1], image[0, 1, :, 1], image[0, 1, 1, :]) for image in batch["image"]]
        return {tuple(bool(line[0] < line[2]) for line in three) for three in lines if all(min(x) > 0 for x in three)}

    assert rising(False) == {(True, True, True)}
    assert len(rising(True)) == 8


def test_small_volumes_are_surrounded() -> None:
    samples = [numbered(3, 4, 5)]
    batch = crops(samples, size=8, dims=3, augmentation=EXACT)[0]
    check_copies(batch, samples)
    assert batch["valid"].sum() < batch["valid"].numel()


def with_labels(target: np.ndarray, valid: np.ndarray) -> Sample:
    tensors = {"target": torch.from_numpy(target[None]), "valid": torch.from_numpy(valid[None])}
    return dataclasses.replace(numbered(*target.shape), **tensors)


def test_crops_are_centred_where_asked() -> None:
    """The middle of an odd crop is a pixel, which no flip or turn moves."""
    target, valid = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    target[4, 7] = target[20, 3] = 1
    valid[:15] = 1
    sample = with_labels(target, valid)
    anywhere = crops([sample], batch=30, augmentation=EXACT)[0]
    assert (anywhere["valid"][:, 0, 4, 4] == 1).all()
    assert anywhere["target"][:, 0, 4, 4].sum() < 10
    foreground = crops([sample], batch=30, foreground=1.0, augmentation=EXACT)[0]
    assert (foreground["target"][:, 0, 4, 4] == 1).all()
    assert (foreground["image"][:, 0, 4, 4] == 1 + 4 * 30 + 7).all(), "the other one is not valid"
    half = crops([sample], batch=200, foreground=0.5, augmentation=EXACT)[0]
    assert 60 < half["target"][:, 0, 4, 4].sum() < 140


@pytest.mark.parametrize("by_site", [False, True])
def test_foreground_comes_from_images_that_show_some(by_site: bool) -> None:
    shown = np.zeros((30, 30), np.uint8)
    shown[12, 9] = 1
    samples = [with_labels(labels, np.ones_like(shown)) for labels in (shown, *[np.zeros_like(shown)] * 4)]
    batch = crops(samples, batch=1000, foreground=0.5, by_site=by_site, augmentation=EXACT)[0]
    assert 450 < int(batch["target"][:, 0, 4, 4].sum()) < 550
    assert set(batch["index"].tolist()) == {0, 1, 2, 3, 4}


def test_without_foreground_a_crop_shows_a_pixel_that_counts() -> None:
    valid = np.zeros((30, 30), np.uint8)
    valid[29, 29] = 1
    batch = crops([with_labels(np.zeros((30, 30), np.uint8), valid)], foreground=1.0, augmentation=EXACT)[0]
    assert (batch["valid"].sum((1, 2, 3)) == 1).all()


def test_a_small_site_gives_as_many_crops_as_a_large_one() -> None:
    samples = [dataclasses.replace(numbered(9, 9), case=Case(stem=s, image=(), patient=s, site=s)) for s in "abbbbbbb"]
    counted = {by: crops(samples, batch=400, by_site=by)[0]["site"].count("a") for by in (False, True)}
    assert 20 < counted[False] < 90
    assert 160 < counted[True] < 240


def test_an_image_where_nothing_counts() -> None:
    empty = np.zeros((8, 8), np.uint8)
    assert not crops([with_labels(empty, empty)])[0]["valid"].any()
