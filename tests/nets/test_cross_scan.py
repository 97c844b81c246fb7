"""Maps as sequences in four directions."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leanseg.nets.cross_scan import cross_merge, cross_scan

sides = st.integers(1, 6)


def numbers(*shape: int) -> Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


@given(height=sides, width=sides)
def test_merging_undoes_each_direction(height: int, width: int) -> None:
    x = numbers(2, height, width, 3)
    sequences = cross_scan(x)
    assert torch.equal(cross_merge(sequences, height, width), 4 * x)
    for direction in range(4):
        alone = torch.zeros_like(sequences)
        alone[:, direction] = sequences[:, direction]
        assert torch.equal(cross_merge(alone, height, width), x)


@given(height=sides, width=sides)
def test_transposing_swaps_rows_and_columns(height: int, width: int) -> None:
    x = numbers(1, height, width, 2)
    assert torch.equal(cross_scan(x.transpose(1, 2)), cross_scan(x)[:, [1, 0, 3, 2]])


def test_reversed_directions_are_the_others_from_the_end() -> None:
    sequences = cross_scan(numbers(2, 3, 4, 1))
    assert torch.equal(sequences[:, 2:], sequences[:, :2].flip(2))
    assert sequences[0, 0, :, 0].tolist() == list(range(12))


def test_a_map_for_each_direction() -> None:
    maps = [numbers(1, 2, 3, 1) + 100 * direction for direction in range(4)]
    wanted = torch.stack([cross_scan(x)[:, direction] for direction, x in enumerate(maps)], 1)
    assert torch.equal(cross_scan(*maps), wanted)
