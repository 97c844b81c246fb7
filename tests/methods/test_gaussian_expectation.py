"""Expectations under a Gaussian: sums against quadrature, the table against sums, gradients against differences."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from leanseg.methods.gaussian_expectation import FURTHEST, WIDEST, Name, expect

NAMES: tuple[Name, ...] = ("softplus", "sigmoid")
WHOLE = st.floats(-60, 60)


def by_quadrature(name: Name, m: float, g: float) -> float:
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    x, density = m + g * z, torch.exp(-z * z / 2) / (2 * pi) ** 0.5
    return float(torch.trapezoid((F.softplus(x) if name == "softplus" else x.sigmoid()) * density, z))


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
@given(m=WHOLE, g=st.floats(0, WIDEST))
def test_the_table_is_the_integral(name: Name, m: float, g: float) -> None:
    tolerance = {"softplus": 2e-4, "sigmoid": 7e-5}[name]
    assert abs(float(expect(name, double(m), double(g), nodes=None)) - by_quadrature(name, m, g)) < tolerance


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_the_integral_for_moderate_deviations(name: Name) -> None:
    for m, g in ((-5.0, 1.3), (0.0, 1.0), (3.0, 2.0)):
        assert float(expect(name, double(m), double(g), nodes=20)) == pytest.approx(by_quadrature(name, m, g), abs=2e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nodes", [20, None])
def test_gradients_are_slopes_of_the_integral(name: Name, nodes: int | None) -> None:
    for m, g in ((-5.0, 1.3), (-1.0, 0.4), (0.5, 1.0), (3.0, 1.8)):
        at = double(m).requires_grad_(), double(g).requires_grad_()
        found = torch.autograd.grad(expect(name, *at, nodes=nodes).sum(), at)
        step = 1e-3
        wanted = [
            (by_quadrature(name, m + a, g + b) - by_quadrature(name, m - a, g - b)) / (2 * step)
            for a, b in ((step, 0.0), (0.0, step))
        ]
        assert np.allclose([float(part) for part in found], wanted, atol=1e-3)


def test_a_small_chance_keeps_its_digits() -> None:
    m, g = torch.tensor([-9.0, -5.0, -2.0]), torch.tensor([0.5, 1.3132617, 1.0])
    exact = expect("sigmoid", m.double(), g.double(), nodes=64)
    torch.testing.assert_close(expect("sigmoid", m, g, nodes=None).double(), exact, rtol=2e-3, atol=0)


def test_beyond_the_table_softplus_is_a_line_and_no_nan_comes() -> None:
    far, wide = torch.tensor([FURTHEST + 60, -FURTHEST - 60]), torch.tensor([1.0, 1.0])
    torch.testing.assert_close(expect("softplus", far, wide, nodes=None), torch.tensor([FURTHEST + 60, 0.0]))
    assert bool(torch.isfinite(expect("sigmoid", far, wide * 100, nodes=None)).all())


def test_any_shape_and_type() -> None:
    for shape in ((), (1,), (2, 1, 3, 4)):
        for dtype in (torch.float32, torch.float64):
            found = expect("sigmoid", torch.zeros(shape, dtype=dtype), torch.ones(shape, dtype=dtype), nodes=None)
            assert found.shape == shape and found.dtype == dtype
            torch.testing.assert_close(found, torch.full(shape, 0.5, dtype=dtype))
