"""One level of Haar wavelets, and the inputs made of it."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.nets.haar import haar, low_and_high, min_max
from testers.nets import noise

EVEN = [(4, 6), (8, 8), (4, 2, 6)]
ODD = [(5, 6), (4, 7), (1, 9), (3, 4, 5), (5, 5, 5)]


def inverse(bands: tuple[Tensor, ...]) -> Tensor:
    """The image of even size that the bands are of, cell by cell."""
    dims = bands[0].ndim - 2
    x = torch.empty(*bands[0].shape[:2], *(2 * side for side in bands[0].shape[2:]), dtype=bands[0].dtype)
    for place in product((0, 1), repeat=dims):
        signs = [(-1) ** sum(a * b for a, b in zip(place, band, strict=True)) for band in product((0, 1), repeat=dims)]
        value = sum(sign * band for sign, band in zip(signs, bands, strict=True)) * 2 ** (-dims / 2)
        x[(..., *[slice(start, None, 2) for start in reversed(place)])] = value
    return x


def test_one_cell() -> None:
    assert [float(band) for band in haar(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))] == [5.0, -2.0, -1.0, 0.0]


@pytest.mark.parametrize("sides", [*EVEN, *ODD])
def test_the_inverse_gives_the_image_back(sides: tuple[int, ...]) -> None:
    x = noise(2, 3, *sides)
    bands = haar(x)
    assert len(bands) == 2 ** len(sides)
    assert {tuple(band.shape) for band in bands} == {(2, 3, *(-(-side // 2) for side in sides))}
    back = inverse(bands)[(..., *(slice(side) for side in sides))]
    torch.testing.assert_close(back, x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sides", EVEN)
def test_energy_is_kept(sides: tuple[int, ...]) -> None:
    x = noise(1, 2, *sides, dtype=torch.float64)
    energy = sum(band.square().sum() for band in haar(x))
    assert float(energy) == pytest.approx(float(x.square().sum()), rel=1e-12)


@pytest.mark.parametrize("sides", ODD)
def test_odd_sizes_repeat_the_last_row(sides: tuple[int, ...]) -> None:
    x = noise(1, 1, *sides)
    longer = np.pad(x.numpy(), ((0, 0), (0, 0), *[(0, side % 2) for side in sides]), mode="edge")
    for found, wanted in zip(haar(x), haar(torch.from_numpy(longer)), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("dims", [2, 3])
def test_letters_name_the_last_axis_first(dims: int) -> None:
    for axis in range(dims):
        index = torch.arange(4.0).reshape([-1 if other == axis else 1 for other in range(dims)])
        bands = haar(index.expand(1, 1, *[4] * dims))
        shown = [number for number, band in enumerate(bands) if number and bool(band.any())]
        assert shown == [2**axis]


def test_as_pywavelets() -> None:
    pywt = pytest.importorskip("pywt")
    for sides in EVEN:
        x = noise(*sides, dtype=torch.float64)
        wanted = list(pywt.dwtn(x.numpy(), "haar").values())
        for band in haar(x[None, None]):
            assert any(np.allclose(np.abs(band[0, 0].numpy()), np.abs(other)) for other in wanted)


def test_min_max_is_of_an_image_not_of_a_batch_or_a_channel() -> None:
    x = torch.tensor([[[0.0, 1.0], [3.0, 4.0]], [[5.0, 5.0], [5.0, 5.0]]])
    wanted = torch.tensor([[[0.0, 0.25], [0.75, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(min_max(x), wanted, atol=1e-6, rtol=0)


def test_low_and_high_follow_the_paper() -> None:
    x = noise(1, 1, 8, 6)
    a, b, c, d = (x[..., row::2, column::2] for row in (0, 1) for column in (0, 1))

    def n(y: Tensor) -> Tensor:
        return (y - y.min()) / (y.max() - y.min() + 1e-6)

    low = n((a + b + c + d) / 2)
    high = n(n((a + b - c - d) / 2) + n((a - b + c - d) / 2) + n((a - b - c + d) / 2))
    found = low_and_high(x, alpha=0.3, beta=0.7)
    for image, wanted in zip(found, (n(low + 0.3 * high), n(high + 0.7 * low)), strict=True):
        wanted = F.interpolate(wanted, size=(8, 6), mode="bilinear", align_corners=False)
        torch.testing.assert_close(image, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sides", [*EVEN, *ODD])
def test_low_and_high_have_the_size_of_the_image_and_lie_in_0_to_1(sides: tuple[int, ...]) -> None:
    for image in low_and_high(noise(2, 3, *sides), alpha=0.2, beta=0.65):
        assert image.shape == (2, 3, *sides)
        assert float(image.min()) >= 0 and float(image.max()) <= 1


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.0), (3.0, -2.0), (255.0, 100.0)])
def test_brightness_and_contrast_change_nothing(dims: int, scale: float, offset: float) -> None:
    x = noise(2, 2, *[9] * dims)
    before, after = (low_and_high(image, alpha=0.2, beta=0.65) for image in (x, scale * x + offset))
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5])
def test_a_constant_image_has_no_frequencies(value: float) -> None:
    for image in low_and_high(torch.full((1, 2, 6, 7), value), alpha=0.2, beta=0.65):
        assert torch.equal(image, torch.zeros(1, 2, 6, 7))
