"""Which images are positives of one another, by hand and by loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from leanseg.errors import UsageError
from leanseg.methods.image_contrast import instance_mask, joined_components, neighbour_edges, superpixel_maps


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(mask: Tensor) -> set[tuple[int, int]]:
    """Positives of either order, without the diagonal."""
    return {(a, b) for a, b in mask.nonzero().tolist() if a != b}


def test_slices_at_one_height_are_positives() -> None:
    mask = instance_mask(3, positions=torch.tensor([0.0, 0.05, 0.2]))
    for first in (0, 3):
        for second in (0, 3):
            block = mask[first : first + 3, second : second + 3]
            assert block.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_without_heights_only_the_other_view_is_positive() -> None:
    assert pairs(instance_mask(3)) == {(0, 3), (3, 0), (1, 4), (4, 1), (2, 5), (5, 2)}
    assert torch.equal(instance_mask(3, positions=torch.full((3,), torch.nan)), instance_mask(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slices_exactly_a_threshold_apart_are_none(dtype: torch.dtype) -> None:
    tenths = torch.arange(11, dtype=dtype) / 10
    assert torch.equal(instance_mask(11, positions=tenths), instance_mask(11))
    assert len(pairs(instance_mask(11, positions=tenths, threshold=0.11))) > 22


def test_a_height_for_each_image() -> None:
    with pytest.raises(UsageError, match="each of 3 images"):
        instance_mask(3, positions=torch.zeros(6))


NINE = torch.tensor([[[4, 4, 4], [0, 0, 0], [0, 0, 0]]])


def test_a_region_of_three_of_nine_cells() -> None:
    ones = torch.ones(1, 5, 3, 3)
    assert superpixel_maps(ones, NINE, values="raw")[0].tolist() == [1.0] * 9
    wanted = [1 / 3] * 3 + [2 / 3] * 6
    assert superpixel_maps(ones, NINE, norm="all", values="raw")[0].tolist() == pytest.approx(wanted, abs=1e-12)


@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.integers(-1, 0))
def test_maps_against_loops(seed: int, by_region: bool, centred: bool, lowest: int) -> None:
    features = torch.randn(3, 4, 5, 6, generator=generator(seed))
    cells = torch.randint(lowest, 7, (3, 5, 6), generator=generator(seed))
    found = superpixel_maps(
        features, cells, norm="region" if by_region else "all", values="centred" if centred else "raw"
    )
    assert found.shape == (3, 30) and found.dtype == torch.float64
    for image in range(3):
        mean = [float(features[image, :, u // 6, u % 6].double().mean()) for u in range(30)]
        label = cells[image].flatten().tolist()
        inside = [u for u in range(30) if label[u] >= 0]
        if centred:
            middle = sum(mean[u] for u in inside) / len(inside)
            mean = [value - middle for value in mean]
        for u in range(30):
            mates = [v for v in inside if label[v] == label[u]]
            wanted = sum(mean[v] for v in mates) / (len(mates) if by_region else 30) if mates else 0.0
            assert float(found[image, u]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("norm", ["region", "all"])
def test_maps_are_constant_inside_a_region(norm: str) -> None:
    features = torch.randn(2, 8, 12, 12, generator=generator())
    cells = torch.randint(0, 9, (2, 12, 12), generator=generator())
    maps = superpixel_maps(features, cells, norm=norm)
    for image in range(2):
        for region in range(9):
            values = maps[image][cells[image].flatten() == region]
            assert (values == values[0]).all()
        assert len(maps[image].unique()) == 9


@pytest.mark.parametrize("norm", ["region", "all"])
def test_a_flat_map_is_exactly_zero_when_centred(norm: str) -> None:
    features = torch.randn(4, 8, 16, 16, generator=generator()) * 100 + 50
    one = torch.zeros(4, 16, 16, dtype=torch.int64)
    assert not superpixel_maps(features, one, norm=norm).any()
    one[:, :3] = -1
    assert not superpixel_maps(features, one, norm=norm).any()
    assert superpixel_maps(features, one, norm=norm, values="raw").any()


def test_centring_tells_images_apart() -> None:
    """After a ReLU all maps point the same way."""
    features = torch.randn(8, 4, 6, 6, generator=generator()).relu() + 1
    cells = torch.arange(36).view(1, 6, 6).repeat(8, 1, 1)

    def median(values: str) -> float:
        unit = torch.nn.functional.normalize(superpixel_maps(features, cells, values=values), dim=1)
        return float((unit @ unit.T).median())

    assert median("raw") > 0.9 > 0.5 > median("centred")


def groups(nearest: list[int], graph: str) -> list[list[int]]:
    edges = neighbour_edges(torch.tensor(nearest), graph=graph)
    labels = connected_components(edges.numpy(), directed=False)[1].tolist()
    return [[vertex for vertex, label in enumerate(labels) if label == group] for group in range(max(labels) + 1)]


@pytest.mark.parametrize(
    ("nearest", "graph", "wanted"),
    [
        ([1, 2, 1, 2], "nn", [[0, 1, 2, 3]]),
        ([1, 2, 1, 2], "mutual", [[0], [1, 2], [3]]),
        ([1, 0, 3, 2], "nn", [[0, 1], [2, 3]]),
        ([1, 0, 3, 2], "mutual", [[0, 1], [2, 3]]),
        ([-1, 0, -1], "nn", [[0, 1], [2]]),
        ([-1, 0, -1], "mutual", [[0], [1], [2]]),
    ],
)
def test_chains_of_neighbours(nearest: list[int], graph: str, wanted: list[list[int]]) -> None:
    assert groups(nearest, graph) == wanted
    edges = neighbour_edges(torch.tensor(nearest), graph=graph)
    assert torch.equal(edges, edges.T) and not edges.diagonal().any()


def directions(*degrees: float) -> Tensor:
    """Both views of images whose maps point this way on a circle."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], 1).repeat(2, 1)


CHAIN = (0, 10, 15, 25, 100, 101, 200, 201, 300, 301)
"""Of the first four the neighbours are 0 -> 1, 1 -> 2, 2 -> 1, 3 -> 2; the others are pairs."""


@pytest.mark.parametrize(
    ("graph", "wanted"), [("nn", [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]), ("mutual", [0, 1, 1, 2, 3, 3, 4, 4, 5, 5])]
)
def test_components_of_maps(graph: str, wanted: list[int]) -> None:
    found = joined_components(directions(*CHAIN), graph=graph)
    label = torch.tensor(wanted).repeat(2)
    assert torch.equal(found.mask, label[:, None] == label)
    assert found.sizes.sort().values.tolist() == sorted(torch.tensor(wanted).bincount().tolist())
    assert not found.split


def test_the_other_view_is_no_neighbour_but_always_positive() -> None:
    """Each view lies beside its twin and near one view of another image."""
    maps = torch.cat([directions(0, 20, 120, 140, 240, 260)[:6], directions(1, 21, 121, 141, 241, 261)[:6]])
    for graph in ("nn", "mutual"):
        found = joined_components(maps, graph=graph)
        label = torch.tensor([0, 0, 1, 1, 2, 2]).repeat(2)
        assert torch.equal(found.mask, label[:, None] == label)


def test_more_than_half_of_the_batch_is_split_into_images() -> None:
    crowd = directions(0, 1, 2.5, 4.5, 7, 180, 181, 270)
    found = joined_components(crowd, graph="nn")
    assert found.split and found.sizes.max() >= 5
    wanted = instance_mask(8)
    wanted |= torch.tensor([0, 1, 2, 3, 4, 5, 5, 5]).repeat(2)[:, None] == torch.tensor(
        [0, 1, 2, 3, 4, 5, 5, 5]
    ).repeat(2)
    assert torch.equal(found.mask, wanted)


def test_exactly_half_of_the_batch_stays_together() -> None:
    found = joined_components(directions(0, 1, 120, 121), graph="mutual")
    assert not found.split and found.sizes.tolist() == [2, 2] and len(pairs(found.mask)) == 24


@pytest.mark.parametrize("graph", ["nn", "mutual"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_batches(count: int, graph: str) -> None:
    """Any two of up to three images are more than half: only their own views are left."""
    maps = torch.randn(2 * count, 9, generator=generator())
    found = joined_components(maps, graph=graph)
    assert torch.equal(found.mask, instance_mask(count))
    assert found.split == (count > 1) and int(found.sizes.sum()) == count


def test_flat_maps_have_no_neighbours() -> None:
    maps = directions(0, 5, 90, 95, 180, 270)
    maps[[4, 5, 10, 11]] = 0
    found = joined_components(maps, graph="nn")
    label = torch.tensor([0, 0, 1, 1, 2, 3]).repeat(2)
    assert torch.equal(found.mask, label[:, None] == label)
    assert torch.equal(joined_components(torch.zeros(8, 5)).mask, instance_mask(4))


def looped(maps: Tensor, graph: str) -> Tensor:
    """Neighbours by loops, components by spreading labels until nothing changes."""
    total, count = len(maps), len(maps) // 2

    def similar(a: int, b: int) -> float:
        return float(maps[a] @ maps[b] / (maps[a].norm() * maps[b].norm()))

    nearest = [
        max((b for b in range(total) if b % count != a % count), key=lambda b: similar(a, b)) for a in range(total)
    ]
    edges = {(a, a % count + count * other) for a in range(total) for other in (0, 1)}
    for a, b in enumerate(nearest):
        if graph == "nn" or nearest[b] == a:
            edges |= {(a, b), (b, a)}
    label = list(range(total))
    for _ in range(total):
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    large = [label.count(value) > count for value in label]
    same = [[label[a] == label[b] and not large[a] for b in range(total)] for a in range(total)]
    return torch.tensor(same) | instance_mask(count)


@given(st.integers(0, 10_000), st.integers(4, 9), st.sampled_from(["nn", "mutual"]))
def test_components_against_loops(seed: int, count: int, graph: str) -> None:
    maps = torch.randn(2 * count, 3, generator=generator(seed), dtype=torch.float64)
    # Views resemble one another, or "nn" would always end in one component.
    maps[count:] = maps[:count] + 0.1 * maps[count:]
    assert torch.equal(joined_components(maps, graph=graph).mask, looped(maps, graph))


def test_two_views_of_each_image() -> None:
    with pytest.raises(UsageError, match="odd number: 5"):
        joined_components(torch.ones(5, 3))
