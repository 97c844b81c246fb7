"""Logits become probabilities, probabilities become labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.inference.postprocess import keep_largest, to_labels, to_probabilities
from leanseg.types import Classes

ONE = Classes(names=("vessel",))
TWO = Classes(names=("disc", "cup"))
OVERLAPPING = Classes(names=("disc", "cup"), overlapping=True)


@given(seed=st.integers(0, 50), temperature=st.floats(0.1, 10))
def test_softmax_leaves_the_background_out(seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 50, (3, 4, 5)).astype(np.float32)
    found = to_probabilities(logits.copy(), classes=TWO, temperature=(temperature,))
    exact = np.exp(logits.astype(float) / temperature - (logits.astype(float) / temperature).max(axis=0))
    np.testing.assert_allclose(found, (exact / exact.sum(axis=0))[1:], atol=1e-5)


def test_sigmoid_survives_large_logits():
    logits = np.array([[-1e4, 0, 1e4]], np.float32)
    assert to_probabilities(logits, classes=ONE).tolist() == [[0, 0.5, 1]]


def test_argmax_equals_softmax_with_background():
    logits = np.random.default_rng(0).normal(0, 2, (3, 50, 50)).astype(np.float32)
    found = to_labels(to_probabilities(logits, classes=TWO), classes=TWO, threshold=(0.5, 0.5))
    np.testing.assert_array_equal(found, logits.argmax(axis=0))


def test_thresholds_by_class():
    maps = np.array([[0.3, 0.6], [0.3, 0.6]], np.float32)
    found = to_labels(maps, classes=OVERLAPPING, threshold=(0.2, 0.7))
    assert found.tolist() == [[1, 1], [0, 0]]
    assert to_labels(maps[:1], classes=ONE, threshold=(0.6,)).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(9, 9), (3, 9, 9)])
def test_largest_piece_of_each_class(shape):
    labels = np.zeros(shape, np.uint8)
    labels[..., 0:3, 0:3] = 1
    labels[..., 3, 3] = 1
    labels[..., 8, 8] = 1
    labels[..., 6, 0:2] = 2
    labels[..., 8, 0] = 2
    found = keep_largest(labels, classes=TWO)
    assert not found[..., 8, :].any()
    assert (found[..., 3, 3] == 1).all()
    both = keep_largest(np.stack([labels == 1, labels == 2]).astype(np.uint8), classes=OVERLAPPING)
    np.testing.assert_array_equal(both[0], found == 1)
    np.testing.assert_array_equal(both[1], found == 2)


def test_nothing_stays_nothing():
    assert not keep_largest(np.zeros((4, 4), np.uint8), classes=TWO).any()
