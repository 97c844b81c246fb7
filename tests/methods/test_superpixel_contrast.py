"""Regions of feature cells, the choice of positions, and contrast within an image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leanseg.losses.supervised_contrastive import supervised_contrastive
from leanseg.methods.superpixel_contrast import (
    cell_regions,
    random_positions,
    strided_positions,
    superpixel_contrast,
    variance_inside_regions,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_positions(cells: Tensor, *, seed: int = 0, **keywords: Any) -> Tensor:
    torch.manual_seed(seed)
    return random_positions(cells, **keywords)


def looped_cells(regions: Tensor, size: tuple[int, int], purity: float) -> Tensor:
    """The majority of the pixels whose coordinates scale into each cell, the smallest label of several."""
    count, height, width = regions.shape
    found = torch.full((count, *size), -1)
    for n in range(count):
        for i in range(size[0]):
            for j in range(size[1]):
                pixels = [
                    int(regions[n, y, x])
                    for y in range(height)
                    for x in range(width)
                    if y * size[0] // height == i and x * size[1] // width == j
                ]
                votes = {label: pixels.count(label) for label in sorted(set(pixels)) if label >= 0}
                best = max(votes, key=votes.__getitem__, default=-1)
                if best >= 0 and votes[best] / len(pixels) >= purity:
                    found[n, i, j] = best
    return found


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, 0.4, 0.6, 1.0]))
def test_majority_against_loops(seed: int, height: int, width: int, purity: float) -> None:
    regions = torch.randint(-1, 3, (2, height, width), generator=generator(seed), dtype=torch.int32)
    size = (1 + seed % height, 1 + seed % width)
    assert torch.equal(cell_regions(regions, size, purity=purity), looped_cells(regions, size, purity))


def test_a_share_of_exactly_the_purity_is_enough() -> None:
    for side in (5, 10, 15, 20):
        for tenth in range(1, 11):
            pixels = torch.arange(side * side)
            regions = (pixels >= side * side * tenth // 10).int() * (1 + pixels)
            cells = cell_regions(regions.view(1, side, side), (1, 1), purity=tenth / 10)
            exact = side * side * tenth % 10 == 0
            assert cells.item() == (0 if exact else -1)


def test_mixed_cells_are_dropped_unless_asked_for() -> None:
    regions = torch.zeros(1, 8, 8, dtype=torch.int32)
    regions[0, :, 2:] = 1
    regions[0, 0, 4:] = 2
    assert cell_regions(regions, (2, 2)).tolist() == [[[-1, 1], [-1, 1]]]
    assert cell_regions(regions, (2, 2), purity=0).tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize("labels", [1, 100])
def test_one_region_and_regions_smaller_than_a_cell(labels: int) -> None:
    regions = (torch.arange(100).view(1, 10, 10) % labels).int()
    assert (cell_regions(regions, (2, 2)) == (0 if labels == 1 else -1)).all()
    assert (cell_regions(-torch.ones_like(regions), (2, 2), purity=0) == -1).all()


def test_positions_are_drawn_without_replacement_where_there_are_regions() -> None:
    cells = torch.randint(-1, 5, (16, 16), generator=generator())
    usable = int((cells >= 0).sum())
    for count, wanted in ((10, 10), (usable, usable), (1000, usable)):
        drawn = drawn_positions(cells, count=count, seed=1)
        assert len(drawn) == len(drawn.unique()) == wanted
        assert (cells.flatten()[drawn] >= 0).all()
    assert len(random_positions(-torch.ones(4, 4, dtype=torch.int64))) == 0


@pytest.mark.parametrize("balanced", [False, True])
def test_a_seed_fixes_the_positions(balanced: bool) -> None:
    cells = torch.randint(0, 9, (16, 16), generator=generator())
    draws = [drawn_positions(cells, count=20, balanced=balanced, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_every_cell_is_as_likely_as_any_other() -> None:
    """400 draws of half of 8 cells: 200 times each, within 5 standard deviations of 10."""
    torch.manual_seed(0)
    drawn = torch.cat([random_positions(torch.zeros(2, 4), count=4) for _ in range(400)])
    assert (drawn.bincount(minlength=8) - 200).abs().max() < 50


def test_balanced_positions_have_few_of_a_region() -> None:
    cells = torch.zeros(16, 16, dtype=torch.int64)
    cells[0, :3], cells[4:8, 4:8], cells[15] = 1, 2, -1
    drawn = drawn_positions(cells, count=128, balanced=True)
    assert cells.flatten()[drawn].bincount().tolist() == [8, 3, 8]
    assert len(drawn.unique()) == 19
    assert cells.flatten()[drawn_positions(cells)].bincount()[0] > 8


def test_fewer_balanced_positions_favour_no_region() -> None:
    """16 regions of 16 cells, 8 of 128 cells drawn: the first regions must not come first."""
    cells = torch.arange(16)[:, None].expand(16, 16)
    drawn = [drawn_positions(cells, count=8, balanced=True, seed=seed) for seed in range(200)]
    counts = cells.flatten()[torch.cat(drawn)].bincount(minlength=16)
    assert (counts - 100).abs().max() < 50


def test_strided_positions_lie_in_two_columns_and_random_ones_do_not() -> None:
    cells = torch.zeros(32, 32, dtype=torch.int64)
    strided = strided_positions(cells, stride=16)
    assert len(strided) == 64 and (strided % 32).unique().tolist() == [0, 16]
    drawn = drawn_positions(cells, count=128)
    assert len((drawn % 32).unique()) > 20
    cells[0, 16] = -1
    assert strided_positions(cells, stride=16).tolist() == strided[strided != 16].tolist()


def views(count: int = 2, side: int = 4) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, count, 3, side, side, generator=generator(7), dtype=torch.float64)
    return first, second


def test_regions_of_one_pixel_contrast_instances() -> None:
    first, second = views()
    cells = cell_regions(torch.arange(16).view(1, 4, 4).repeat(2, 1, 1), (4, 4))
    at = torch.tensor([3, 0, 9, 14, 7])
    wanted = []
    for image in range(2):
        vectors = torch.stack([view[image, :, u // 4, u % 4] for view in (first, second) for u in at.tolist()])
        partner = torch.zeros(10, 10, dtype=torch.bool)
        for u in range(5):
            partner[u, u + 5] = partner[u + 5, u] = True
        wanted.append(float(supervised_contrastive(vectors, partner)))
    found = superpixel_contrast(first, second, cells, [at, at])
    assert float(found) == pytest.approx(sum(wanted) / 2, abs=1e-12)


def test_in_one_region_all_others_are_positives() -> None:
    first, second = views(1)
    at = torch.arange(16)
    vectors = torch.cat([first[0].flatten(1).T, second[0].flatten(1).T])
    everything = ~torch.eye(32, dtype=torch.bool)
    assert everything.sum(1).tolist() == [2 * 16 - 1] * 32
    found = superpixel_contrast(first, second, torch.zeros(1, 4, 4, dtype=torch.int64), [at], temperature=0.3)
    wanted = supervised_contrastive(vectors, everything, temperature=0.3)
    assert float(found) == pytest.approx(float(wanted), abs=1e-12)


@given(st.integers(0, 1000))
def test_positives_share_a_region_in_either_view(seed: int) -> None:
    first, second = views(1)
    cells = torch.randint(0, 4, (1, 4, 4), generator=generator(seed))
    at = drawn_positions(cells[0], count=9, seed=seed).tolist()
    vectors, labels = [], []
    for view in (first, second):
        for u in at:
            vectors.append(view[0, :, u // 4, u % 4])
            labels.append(int(cells[0, u // 4, u % 4]))
    positive = torch.tensor([[a == b for b in labels] for a in labels])
    found = superpixel_contrast(first, second, cells, [torch.tensor(at)])
    assert float(found) == pytest.approx(float(supervised_contrastive(torch.stack(vectors), positive)), abs=1e-12)


def test_images_do_not_meet_and_one_without_positions_counts_nothing() -> None:
    first, second = views()
    cells = torch.randint(0, 4, (2, 4, 4), generator=generator())
    at = [torch.arange(16), torch.arange(0, 16, 2)]
    alone = [float(superpixel_contrast(first[i : i + 1], second[i : i + 1], cells[i : i + 1], [at[i]])) for i in (0, 1)]
    assert float(superpixel_contrast(first, second, cells, at)) == pytest.approx(sum(alone) / 2, abs=1e-12)
    at[1] = at[1][:0]
    first.requires_grad_()
    found = superpixel_contrast(first, second, cells, at)
    found.backward()
    assert float(found.detach()) == pytest.approx(alone[0] / 2, abs=1e-12)
    assert first.grad is not None and first.grad[0].any() and not first.grad[1].any()


def test_gradient() -> None:
    first, second = (view.requires_grad_() for view in views())
    cells = torch.randint(0, 3, (2, 4, 4), generator=generator())
    at = [drawn_positions(cell, count=6) for cell in cells]
    assert torch.autograd.gradcheck(lambda a, b: superpixel_contrast(a, b, cells, at), (first, second))


def test_steps_along_the_gradient_gather_the_regions() -> None:
    """Learning oracle: cells of a region end up alike, of different regions apart."""
    first, second = (view.clone().requires_grad_() for view in views(1))
    cells = torch.arange(16).view(1, 4, 4) // 4
    optimiser = torch.optim.SGD([first, second], 1.0)
    for _ in range(200):
        optimiser.zero_grad()
        superpixel_contrast(first, second, cells, [torch.arange(16)]).backward()
        optimiser.step()
    unit = torch.nn.functional.normalize(first.detach()[0].flatten(1).T, dim=1)
    same = cells.flatten()[:, None] == cells.flatten()
    similarity = unit @ unit.T
    assert similarity[same].min() > 0.9 > 0.5 > similarity[~same].max()


@given(st.integers(0, 10_000))
def test_variance_inside_regions_against_loops(seed: int) -> None:
    features = torch.randn(2, 3, 4, 5, generator=generator(seed))
    cells = torch.randint(-1, 4, (2, 4, 5), generator=generator(seed + 1))
    cells[:, 0, :2] = torch.tensor([0, 1])
    shares = []
    for view, labels in zip(features, cells, strict=True):
        inside = sum(
            float(((view[:, labels == r] - view[:, labels == r].mean(1, keepdim=True)) ** 2).sum()) for r in range(4)
            if (labels == r).any()
        )  # fmt: skip
        known = view[:, labels >= 0]
        shares.append(inside / float(((known - known.mean(1, keepdim=True)) ** 2).sum()))
    assert float(variance_inside_regions(features, cells)) == pytest.approx(sum(shares) / 2, rel=1e-4)


def test_features_without_variance_know_nothing_of_regions() -> None:
    assert float(variance_inside_regions(torch.ones(1, 2, 3, 3), torch.zeros(1, 3, 3, dtype=torch.int64))) == 1
