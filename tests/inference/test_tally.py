"""Counting in bands equals counting the whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from leanseg.inference.tally import Tally


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 9))), data=st.data())
def test_bands_of_a_picture(mask, data):
    check(mask, data.draw(st.lists(st.integers(0, len(mask)))))


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))), data=st.data())
def test_bands_of_a_volume(mask, data):
    check(mask, data.draw(st.lists(st.integers(0, len(mask)))))


def check(mask, cuts):
    probability = np.random.default_rng(0).random(mask.shape).astype(np.float32)
    tally = Tally()
    ends = sorted({0, *cuts, len(mask)})
    for start, stop in pairwise(ends):
        tally.add(mask[start:stop], probability[start:stop])
    assert tally.area == mask.sum()
    assert tally.components == ndimage.label(mask, np.ones((3,) * mask.ndim))[1]
    if mask.any():
        assert tally.mean_probability == pytest.approx(probability[mask].mean(), abs=1e-6)
    else:
        assert tally.mean_probability is None
