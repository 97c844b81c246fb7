from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.data.values import Kind, count_values, kind_of, levels


def blob(seed: int, high: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(64, 64)).astype(np.float32)
    return np.where(cv2.GaussianBlur(noise, (0, 0), 5) > 0.02, high, 0).astype(np.uint8)


@given(seed=st.integers(0, 30), quality=st.integers(50, 98))
def test_a_jpeg_mask_is_a_ramp_between_its_levels(seed: int, quality: int) -> None:
    encoded = cv2.imencode(".jpg", blob(seed, 255), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    counts = count_values(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))
    assert kind_of(counts) == "ramp"
    low, high = levels(counts)
    assert low < 40 and high > 215


@given(seed=st.integers(0, 30))
def test_a_resized_mask_is_a_ramp(seed: int) -> None:
    counts = count_values(cv2.resize(blob(seed, 255), (91, 91), interpolation=cv2.INTER_LINEAR))
    assert kind_of(counts) == "ramp"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0], "empty"),
        ([0, 1], "binary"),
        ([0, 1, 2, 3], "classes"),
        ([0, 128, 255], "classes"),
        ([0, 51, 102, 153, 204, 255], "classes"),
        (list(range(40)), "instances"),
        (list(range(500)), "instances"),
        ([0, 3, 900, 1200], "instances"),
        (list(range(0, 250, 3)), "many"),
    ],
)
def test_origin_is_told_from_the_values(values: list[int], kind: Kind) -> None:
    background = [0] * 2000
    assert kind_of(count_values(np.array(background + values * 10 if values != [0] else background))) == kind
