"""Views of crops: what they share, how they differ, and the regions that fit them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leanseg.loading.augment import Augmentation
from leanseg.loading.regions import find_regions
from leanseg.loading.samples import Sample
from leanseg.loading.views import Regions, Views, sliced
from testers.samples import discs, numbered


def views(samples: list[Sample], **settings: Any) -> Views:
    maps = Regions([sample.image for sample in samples], kind="grid", n_regions=16, crop=24)
    fixed = {"size": 16, "batch": 3, "augmentation": Augmentation(), "regions": maps}
    return Views(samples, **{**fixed, **settings})


def test_regions_follow_the_crop_and_not_its_appearance() -> None:
    """Oracle 8.11: the labels of the pixel that every crop shows, whatever the views look like."""
    sample = numbered(24, 20)
    regions = find_regions(sample.image, kind="grid", n_regions=16).flatten()
    clean, strong = (
        views([sample], augmentation=Augmentation(gain=size, offset=size, rotation=90, warped=1)) for size in (0.0, 0.4)
    )
    for step in range(20):
        batch, changed = clean[step], strong[step]
        pixels = batch["image"][:, 0].long() - 1
        expected = regions[pixels.clamp_min(0)].where(pixels >= 0, -1)
        assert torch.equal(batch["regions"], expected)
        assert torch.equal(batch["regions"], changed["regions"])
        assert torch.equal(batch["image"], batch["second"])
        assert not torch.equal(changed["image"], changed["second"])


def test_only_the_last_two_views_are_warped() -> None:
    """Each is warped by itself, out of one of the first two."""
    batch = views([numbered(24, 20)], augmentation=Augmentation(gain=0, offset=0, warped=0), batch=8)[0]
    sums = [batch[name].sum((1, 2, 3)) for name in ("image", "second", "third", "fourth")]
    assert all(torch.equal(sums[0], total) for total in sums[1:])
    assert not torch.equal(batch["third"], batch["fourth"])
    assert not torch.equal(batch["image"], batch["third"])


def test_the_first_views_are_upright() -> None:
    """Oracle of images that are built alike: their maps are compared cell by cell."""
    batch = views([numbered(24, 20)], augmentation=Augmentation(gain=0, offset=0), batch=8)[0]
    for crop in batch["image"][:, 0]:
        rows, columns = crop.nonzero().T
        inside = crop[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (inside.diff(dim=0) == 20).all() and (inside.diff(dim=1) == 1).all()


def test_a_large_image_has_as_many_regions_in_a_crop_as_a_small_one() -> None:
    images = [torch.zeros(1, 16, 16), torch.zeros(1, 64, 64), torch.zeros(1, 8, 8)]
    found = Regions(images, kind="grid", n_regions=4, crop=16)
    assert [len(regions.unique()) for regions in found] == [4, 64, 4]


def test_views_depend_on_seed_and_step_alone() -> None:
    made, again, other = (views(discs(3, 24, 24), seed=seed) for seed in (1, 1, 2))
    for name in ("image", "second", "third", "fourth", "regions"):
        assert torch.equal(made[5][name], again[5][name])
        assert not torch.equal(made[5][name], made[6][name])
        assert not torch.equal(made[5][name], other[5][name])


def test_processes_share_a_batch() -> None:
    whole, halves = views(discs(3, 24, 24), batch=4), [views(discs(3, 24, 24), batch=2) for _ in range(2)]
    for rank, half in enumerate(halves):
        half.share(rank=rank, world=2)
    for name in ("image", "fourth", "regions", "index"):
        assert torch.equal(whole[3][name], torch.cat([half[3][name] for half in halves]))


def test_regions_are_cut_once_on_the_clean_image(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []

    def cut(image: Tensor, **options: Any) -> Tensor:
        calls.append(image)
        return find_regions(image, **options)

    monkeypatch.setattr("leanseg.loading.views.find_regions", cut)
    samples = discs(2, 24, 24)
    made = views(samples)
    assert not calls
    for step in range(10):
        made[step]
    assert len(calls) == 2
    assert {id(image) for image in calls} == {id(sample.image) for sample in samples}


def test_pixels_that_do_not_count_have_no_region() -> None:
    sample = numbered(16, 16)
    valid = torch.ones(1, 16, 16, dtype=torch.uint8)
    valid[:, :, :8] = 0
    made = views([replace(sample, valid=valid)], augmentation=Augmentation(gain=0, offset=0))
    batch = made[0]
    columns = (batch["image"][:, 0].long() - 1) % 16
    assert torch.equal(batch["regions"] >= 0, (columns >= 8) & (batch["image"][:, 0] > 0))


def test_volumes_are_cut_into_slices_with_their_place() -> None:
    volume = numbered(5, 24, 20)
    valid = volume.valid.clone()
    valid[:, 3] = 0
    images, places = sliced([numbered(24, 20), replace(volume, valid=valid)])
    assert np.allclose(places, [np.nan, 0, 0.25, 0.5, 1], equal_nan=True)
    assert torch.equal(images[4].image, volume.image[:, 4])
    assert images[4].image.data_ptr() == volume.image[:, 4].data_ptr()
