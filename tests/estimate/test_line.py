"""The line, and estimates through it (oracles 1 and 2 of the specification)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leanseg.errors import UsageError
from leanseg.estimate.line import fit_line, transfer

POINTS = arrays(np.float64, 12, elements=st.floats(0, 1, width=32))


def test_a_line_is_recovered_and_leaves_pearson_alone() -> None:
    pseudo = np.random.default_rng(0).uniform(size=20)
    line = fit_line(pseudo, 0.8 * pseudo + 0.1)
    assert float(line.slope) == pytest.approx(0.8, abs=1e-10)
    assert float(line.intercept) == pytest.approx(0.1, abs=1e-10)
    real = np.random.default_rng(1).uniform(size=20)
    raw, through = np.corrcoef(pseudo, real)[0, 1], np.corrcoef(line(pseudo), real)[0, 1]
    assert through == pytest.approx(raw, abs=1e-12)


@given(POINTS, POINTS)
def test_close_to_polyfit(x: np.ndarray, y: np.ndarray) -> None:
    line = fit_line(x, y)
    if x.var() > 1e-3:
        slope, intercept = np.polyfit(x, y, 1)
        if slope > 1e-6:
            assert [float(line.slope), float(line.intercept)] == pytest.approx([slope, intercept], abs=1e-6)
        elif slope < -1e-6:
            assert not line.usable
    if not line.usable:
        assert line.slope == 0 and float(line.intercept) == pytest.approx(y.mean())


def test_many_lines_at_once_are_single_lines() -> None:
    x, y = np.random.default_rng(2).uniform(size=(2, 5, 7))
    many = fit_line(x, y)
    for row in range(5):
        one = fit_line(x[row], y[row])
        assert many.slope[row] == one.slope and many.usable[row] == one.usable


@given(POINTS, POINTS, st.integers(1, 12))
def test_the_forms_differ_by_the_residual_on_the_known_set(x: np.ndarray, y: np.ndarray, count: int) -> None:
    target = x[::-1][:count] * 0.9
    by_difference, line = transfer(x, target, y)
    by_line, _ = transfer(x, target, y, form="line")
    if line.usable:
        residual = y[:count] - line(x)[:count]
        np.testing.assert_allclose(by_difference - by_line, residual, atol=1e-12)
    else:
        np.testing.assert_array_equal(by_difference, y[:count])
        np.testing.assert_array_equal(by_line, y[:count])


@given(POINTS, POINTS)
def test_the_same_set_gives_the_real_scores(x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_array_equal(transfer(x, x, y)[0], y)


def test_a_falling_or_flat_line_carries_over() -> None:
    rising = np.linspace(0.2, 0.8, 5)
    for known in (1 - rising, np.full(5, 0.5), 0.5 + 1e-4 * rising):
        for form in ("line", "difference"):
            values, line = transfer(known, known - 0.1, rising, form=form)
            assert not line.usable
            np.testing.assert_array_equal(values, rising)


def test_a_given_slope_needs_no_second_row() -> None:
    values, line = transfer(np.array([0.8]), np.array([0.6]), np.array([0.9]), slope=0.5)
    assert values == pytest.approx([0.8]) and line.slope == 0.5
    through, _ = transfer(np.array([0.8]), np.array([0.6]), np.array([0.9]), slope=0.5, form="line")
    assert through == pytest.approx([0.8])


def test_further_rows_serve_the_line_alone() -> None:
    known, real = np.array([0.8, 0.4, 0.2]), np.array([0.9, 0.5, 0.3])
    values, line = transfer(known, np.array([0.7]), real)
    assert values == pytest.approx([0.8]) and float(line.slope) == pytest.approx(1)


@pytest.mark.parametrize(
    ("known", "target", "real", "keywords", "says"),
    [
        ([0.5], [0.5], [0.5], {}, "degraded masks"),
        ([0.5], [0.5, 0.6], [0.5], {}, "checkpoints first"),
        ([0.5, 0.6], [0.5], [0.5], {}, "checkpoints first"),
        ([0.5, 0.6], [0.5], [0.5, 0.6], {"form": "curve"}, "'difference' or 'line'"),
        ([0.5, 0.6], [0.5], [0.5, 0.6], {"slope": -1.0}, "positive"),
    ],
)
def test_what_does_not_fit(known: list, target: list, real: list, keywords: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        transfer(np.array(known), np.array(target), np.array(real), **keywords)
