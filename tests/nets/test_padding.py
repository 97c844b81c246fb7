"""Padding by reflection."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from leanseg.nets.padding import crop_to, pad_to_multiple


@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), divisor=st.sampled_from([1, 2, 4, 8]))
def test_reflection_and_back(size: tuple[int, int], divisor: int) -> None:
    x = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    padded = pad_to_multiple(x, divisor)
    missing = [-n % divisor for n in size]
    assert padded.shape[2:] == tuple(n + m for n, m in zip(size, missing, strict=True))
    assert torch.equal(crop_to(padded, size), x)
    if all(m < n for m, n in zip(missing, size, strict=True)):
        wanted = np.pad(x[0, 0].numpy(), [(0, m) for m in missing], mode="reflect")
        np.testing.assert_array_equal(padded[0, 0].numpy(), wanted)


def test_nothing_missing_is_no_copy() -> None:
    x = torch.zeros(1, 1, 8, 4)
    assert pad_to_multiple(x, 4) is x


def test_volumes() -> None:
    assert pad_to_multiple(torch.zeros(1, 2, 3, 5, 8), 4).shape == (1, 2, 4, 8, 8)
