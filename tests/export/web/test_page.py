"""The page in a browser: the same masks as Python's, no network, by mouse and by keyboard."""

from __future__ import annotations

import csv
import functools
import os
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image as Pillow

from export.web.chromium import Chromium
from leanseg.bundle import read_bundle
from leanseg.export.web import ARCHIVE, export_web
from leanseg.images.read import read_image, read_mask
from leanseg.inference.predictor import Predictor
from leanseg.types import Segmentation

pytestmark = pytest.mark.slow

PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "retina.jpg"
SHOWN = "document.getElementById('status').textContent.includes('field of view')"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported page of the bundled model."""
    runtime = os.environ.get("LEANSEG_TEST_WEB_RUNTIME")
    if runtime is None:
        pytest.skip(f"ONNX Runtime Web is not here: npm pack, and LEANSEG_TEST_WEB_RUNTIME={ARCHIVE}")
    folder = tmp_path_factory.mktemp("site") / "page"
    export_web(read_bundle("vessels"), folder, runtime=Path(runtime))
    return folder


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[ThreadingHTTPServer]:
    """A static server of the page that knows no more than any other."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def opened(chromium: Chromium, server: ThreadingHTTPServer) -> None:
    """Open the page and wait until the model is loaded."""
    chromium.open(f"http://127.0.0.1:{server.server_port}/")
    chromium.wait("document.getElementById('status').textContent === 'Ready'")


@pytest.fixture(scope="module")
def wanted() -> Segmentation:
    """What Python finds in the photograph."""
    return Predictor(bundle=read_bundle("vessels")).predict(read_image(PHOTOGRAPH), probabilities=True)


def saved(chromium: Chromium, button: str, path: Path) -> Path:
    """Press a button and wait for the file."""
    chromium.evaluate(f"document.getElementById('{button}').click()")
    end = time.monotonic() + 30
    while not path.is_file():
        assert time.monotonic() < end, f"{path.name} was not saved"
        chromium.wait("true")
    return path


@pytest.fixture(scope="module")
def page(server: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A phone with a small photograph on the page."""
    folder = tmp_path_factory.mktemp("page")
    Pillow.open(PHOTOGRAPH).resize((300, 300)).save(folder / "small.png")
    with Chromium(folder / "profile", width=390, height=844, phone=True) as chromium:
        opened(chromium, server)
        chromium.choose("#image-files", folder / "small.png")
        chromium.wait(SHOWN)
        yield chromium
        assert chromium.problems == []


def share(page: Chromium) -> float:
    """Percent of the field of view, as shown."""
    return float(str(page.evaluate("document.querySelector('.head .share').textContent")).split()[0])


def shown(page: Chromium) -> str:
    """A summary of what is drawn on the canvas."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return str(page.evaluate("document.getElementById('view').toDataURL()"))


def test_keys_move_the_threshold_and_the_image(page: Chromium) -> None:
    before, picture = share(page), shown(page)
    page.evaluate("document.querySelector('#classes input').focus()")
    for _ in range(5):
        page.press("ArrowRight")
    assert page.evaluate("document.querySelector('#classes input').getAttribute('aria-valuetext')") == "0.35"
    assert share(page) < before
    assert shown(page) != picture
    page.evaluate("document.querySelector('#classes button').click()")
    assert (share(page), shown(page)) == (before, picture)
    page.press("+", "+")
    closer = shown(page)
    page.evaluate("document.getElementById('view').focus()")
    page.press("ArrowRight")
    assert len({picture, closer, shown(page)}) == 3
    page.press("0", "0")
    assert shown(page) == picture


def test_the_focus_goes_through_everything_once(page: Chromium) -> None:
    page.evaluate("document.getElementById('about-open').focus()")
    names = []
    for _ in range(11):
        name = "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
        label = str(page.evaluate(f"{name} || document.activeElement.labels?.[0]?.innerText"))
        names.append(label.split("\n")[0].split(" with ")[0])
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", names
        page.press("Tab")
    zoom = ["Zoom in", "Zoom out", "Fit to window"]
    rest = ["Threshold of vessel", "Opacity of the overlay", "Choose a mask", "Mask (PNG)", "Table (CSV)"]
    assert names == ["About this model", "small.png", *zoom, "small.png", "Add images", *rest][:11]


def test_everything_has_a_name_and_fits_the_phone(page: Chromium) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "slider", "checkbox", "combobox", "image", "img", "progressbar", "dialog", "list")
    used = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(used) > 8
    unnamed = [node["role"]["value"] for node in used if not node.get("name", {}).get("value")]
    assert [role for role in unnamed if role != "list"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    sizes = "[...document.querySelectorAll('button')].map((b) => b.getBoundingClientRect().height).filter(Boolean)"
    assert min(page.evaluate(sizes)) >= 40


def test_comparison(page: Chromium, tmp_path: Path) -> None:
    page.download_to(tmp_path)
    mask = read_mask(saved(page, "save-mask", tmp_path / "small_mask.png"))
    drawn = np.roll(mask, 1, axis=1)
    Pillow.fromarray(drawn).save(tmp_path / "drawn.png")
    picture = shown(page)
    page.choose("#mask-file", tmp_path / "drawn.png")
    page.wait("document.querySelector('.figure')")
    both = np.count_nonzero((mask > 0) & (drawn > 0))
    dice = 2 * both / (np.count_nonzero(mask) + np.count_nonzero(drawn))
    assert page.evaluate("document.querySelector('.figure').textContent") == f"{dice:.3f}"
    assert shown(page) != picture
    page.evaluate("document.getElementById('compare-end').click()")
    assert shown(page) == picture
    Pillow.fromarray(drawn[:50]).save(tmp_path / "cut.png")
    page.choose("#mask-file", tmp_path / "cut.png")
    page.wait("!document.getElementById('failure').hidden")
    assert "300 x 50 pixels, the image 300 x 300" in page.evaluate("document.getElementById('failure').textContent")


def test_files_that_are_no_images(page: Chromium, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.choose("#image-files", tmp_path / "notes.png")
    page.wait("document.getElementById('failure').textContent.includes('notes.png')")
    assert "Choose a PNG, JPEG, TIFF or DICOM file" in page.evaluate("document.getElementById('failure').textContent")
    page.evaluate("document.querySelector('#list button').click()")
    page.wait("document.getElementById('failure').hidden && !document.getElementById('view').hidden")


def test_nothing_can_be_sent_elsewhere(page: Chromium) -> None:
    ways = ("fetch('http://127.0.0.2:9/')", "fetch('https://example.invalid/', { method: 'POST', body: 'x' })")
    for way in ways:
        for place in (page.evaluate, page.evaluate_in_worker):
            assert place(f"{way}.then(() => 'sent', (error) => error.name)") == "TypeError"
    blocked = [problem for problem in page.problems if "Content Security Policy" in problem]
    assert len(blocked) >= 2 * len(ways)
    page.problems.clear()


def test_masks_without_a_network(server: ThreadingHTTPServer, wanted: Segmentation, tmp_path: Path) -> None:
    picture = tmp_path / "retina.png"
    Pillow.open(PHOTOGRAPH).save(picture)
    with Chromium(tmp_path / "profile") as chromium:
        opened(chromium, server)
        chromium.download_to(tmp_path)
        server.shutdown()
        chromium.requests.clear()
        chromium.choose("#image-files", picture, PHOTOGRAPH)
        chromium.wait("document.querySelectorAll('.state')[1]?.textContent.startsWith('vessel')")
        mask_path = tmp_path / "retina_mask.png"
        mask = read_mask(saved(chromium, "save-mask", mask_path))
        assert (mask > 0).shape == wanted.labels.shape
        assert ((mask > 0) == (wanted.labels > 0)).mean() >= 0.9999
        with saved(chromium, "save-table", tmp_path / "segmentation.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chromium.evaluate("document.querySelectorAll('#list button')[1].click()")
        mask_path.unlink()
        of_jpeg = read_mask(saved(chromium, "save-mask", mask_path))
        assert ((of_jpeg > 0) == (wanted.labels > 0)).mean() >= 0.999
        assert [request for request in chromium.requests if not request.startswith("blob:")] == []
        assert chromium.problems == []
    assert [row["image"] for row in rows] == ["retina.png", "retina.jpg"]
    assert int(rows[0]["area_pixels"]) == np.count_nonzero(mask)
    assert float(rows[0]["threshold"]) == pytest.approx(0.301758)
