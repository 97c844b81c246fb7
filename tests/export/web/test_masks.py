"""The page in a browser gives the masks that Python gives, without a network."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from export.web.chromium import Chromium
from export.web.site import PHOTOGRAPH, opened, saved, served
from leanseg.bundle import read_bundle
from leanseg.images.read import read_image, read_mask
from leanseg.inference.predictor import Predictor

pytestmark = pytest.mark.slow


def agreement(found: Path, picture: Path) -> float:
    """The share of pixels of a saved mask that Python decides the same way."""
    wanted = Predictor(bundle=read_bundle("vessels")).predict(read_image(picture)).labels
    mask = read_mask(found)
    assert mask.shape == wanted.shape
    return float(((mask > 0) == (wanted > 0)).mean())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """The page of the bundled model, whose server has gone."""
    folder = tmp_path_factory.mktemp("page")
    with Chromium(folder / "profile") as chromium:
        with served(read_bundle("vessels"), folder / "page") as server:
            opened(chromium, server)
        chromium.requests.clear()
        yield chromium
        assert [request for request in chromium.requests if not request.startswith("blob:")] == []
        assert chromium.problems == []


def segment(page: Chromium, *pictures: Path) -> None:
    """Add images, of which the first one is shown."""
    states = "[...document.querySelectorAll('.state')]"
    count = page.evaluate(f"{states}.length") + len(pictures)
    page.choose("#image-files", *pictures)
    page.wait(f"{states}.filter((state) => state.textContent.startsWith('vessel')).length === {count}")


def test_masks_and_table(page: Chromium, tmp_path: Path) -> None:
    page.download_to(tmp_path)
    picture = tmp_path / "retina.png"
    Pillow.open(PHOTOGRAPH).save(picture)
    segment(page, picture, PHOTOGRAPH)
    mask = saved(page, "save-mask", tmp_path / "retina_mask.png")
    assert agreement(mask, picture) >= 0.9999
    found = np.count_nonzero(read_mask(mask))
    with saved(page, "save-table", tmp_path / "segmentation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[-2:]
    assert [row["image"] for row in rows] == ["retina.png", "retina.jpg"]
    assert int(rows[0]["area_pixels"]) == found
    assert float(rows[0]["threshold"]) == pytest.approx(0.301758)
    page.evaluate("document.querySelector('#list li:last-child button').click()")
    mask.unlink()
    # Browsers unpack JPEG files as they like.
    assert agreement(saved(page, "save-mask", mask), PHOTOGRAPH) >= 0.999


@pytest.mark.data
def test_masks_of_another_camera(page: Chromium, data_root: Path, tmp_path: Path) -> None:
    picture = data_root / "DRIVE/test/images/01_test.tif"
    drawn = data_root / "DRIVE/test/1st_manual/01_manual1.gif"
    page.download_to(tmp_path)
    segment(page, picture)
    found = saved(page, "save-mask", tmp_path / "01_test_mask.png")
    assert agreement(found, picture) >= 0.999
    page.choose("#mask-file", drawn)
    page.wait("document.querySelector('.figure')")
    truth, mask = read_mask(drawn) > 0, read_mask(found) > 0
    dice = 2 * np.count_nonzero(truth & mask) / (np.count_nonzero(truth) + np.count_nonzero(mask))
    assert page.evaluate("document.querySelector('.figure').textContent") == f"{dice:.3f}"
