"""A model of overlapping classes on the page: one mask for each class, compared one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from export.web.chromium import Chromium
from export.web.site import PHOTOGRAPH, opened, saved, served
from leanseg.bundle import Bundle
from leanseg.images.preprocess import Preprocessing
from leanseg.images.read import read_image, read_mask
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes

pytestmark = pytest.mark.slow


def test_classes_that_overlap(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    classes = Classes(names=("dark", "half bright", "bright"), overlapping=True, values=(255, 255, 255))
    settings = Preprocessing(channels=("grey",), normalise="percentile")
    bundle = make_bundle("bright", classes=classes, preprocessing=settings, threshold=(0.4, 0.8, 0.99))
    picture = tmp_path / "eye.tif"
    Pillow.open(PHOTOGRAPH).convert("L").resize((200, 200)).save(picture)
    labels = Predictor(bundle=bundle).predict(read_image(picture)).labels
    Pillow.fromarray(labels[1] * 255).save(tmp_path / "drawn.png")
    with served(bundle, tmp_path / "page") as server, Chromium(tmp_path / "profile") as chromium:
        opened(chromium, server)
        chromium.download_to(tmp_path)
        chromium.choose("#image-files", picture)
        chromium.wait("document.querySelector('.state')?.textContent === 'segmented'")
        masks = [tmp_path / f"eye_{name}.png" for name in ("dark", "half_bright", "bright")]
        saved(chromium, "save-mask", *masks)
        for mask, plane in zip(masks, labels, strict=True):
            np.testing.assert_array_equal(read_mask(mask) > 0, plane > 0)
        chromium.evaluate("document.getElementById('compare-class').value = '1'")
        chromium.choose("#mask-file", tmp_path / "drawn.png")
        chromium.wait("document.querySelector('.figure')?.textContent === '1.000'")
        assert chromium.problems == []
