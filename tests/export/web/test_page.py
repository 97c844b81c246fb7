"""The page in a browser on a phone: by touch, by keyboard, by screen reader, and closed to the outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from export.web.chromium import Chromium
from export.web.site import PHOTOGRAPH, opened, saved, served
from leanseg.bundle import read_bundle
from leanseg.images.read import read_mask

pytestmark = pytest.mark.slow

SHOWN = "document.getElementById('status').textContent.includes('field of view')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A phone with a small photograph on the page of the bundled model."""
    folder = tmp_path_factory.mktemp("page")
    Pillow.open(PHOTOGRAPH).resize((300, 300)).save(folder / "small.png")
    with (
        Chromium(folder / "profile", width=390, height=844, phone=True) as chromium,
        served(read_bundle("vessels"), folder / "page") as server,
    ):
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
    assert f"{share(page):.1f}\u00a0%" in page.evaluate("document.getElementById('status').textContent")
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
    page.wait("!document.getElementById('compare-failure').hidden")
    message = page.evaluate("document.getElementById('compare-failure').textContent")
    assert "300 x 50 pixels, the image 300 x 300" in message


def test_files_that_are_no_images(page: Chromium, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.choose("#image-files", tmp_path / "notes.png")
    page.wait("document.getElementById('failure').textContent.includes('notes.png')")
    assert "Choose a PNG, JPEG, TIFF or DICOM file" in page.evaluate("document.getElementById('failure').textContent")
    page.evaluate("document.querySelector('#list button').focus()")
    page.press("Enter", "\r")
    page.wait("document.getElementById('failure').hidden && !document.getElementById('view').hidden")
    page.press("Tab")
    page.press("Enter", "\r")
    page.wait("document.getElementById('status').textContent === 'notes.png was not segmented.'")
    assert page.evaluate("document.activeElement.innerText").startswith("notes.png")
    page.evaluate("document.querySelector('#list button').click()")


@pytest.mark.parametrize(
    ("way", "rule"),
    [
        ("fetch(away, { method: 'POST', body: 'x' }).catch(() => {})", "connect-src"),
        ("navigator.sendBeacon(away, 'x')", "connect-src"),
        ("new WebSocket('ws://127.0.0.2:9/')", "connect-src"),
        ("new Image().src = away", "img-src"),
        ("Object.assign(document.createElement('script'), { src: away })", "script-src-elem"),
        ("Object.assign(document.createElement('iframe'), { src: away })", "frame-src"),
    ],
)
def test_nothing_can_be_sent_elsewhere(page: Chromium, way: str, rule: str) -> None:
    body = f"""
      new Promise((tell) => {{
        const away = "http://127.0.0.2:9/";
        addEventListener("securitypolicyviolation", (event) => tell(event.effectiveDirective), {{ once: true }});
        const made = {way};
        if (made instanceof Node) document.body.append(made);
      }})
    """
    assert page.evaluate(body) == rule
    if way.startswith("fetch"):
        assert page.evaluate_in_worker(body.replace("made instanceof Node", "false")) == rule
    page.problems.clear()


CONTRAST = """
  (() => {
    const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
    const light = (colour) => {
      const shares = parts(colour).map((value) => value / 255);
      const [r, g, b] = shares.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
      const colour = getComputedStyle(node).backgroundColor;
      return (parts(colour)[3] ?? 1) > 0.8 ? colour : behind(node.parentElement);
    };
    const texts = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
      && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
    return texts.map((node) => {
      const [a, b] = [getComputedStyle(node).color, behind(node)].map(light).sort((x, y) => y - x);
      return [node.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)];
    });
  })()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out(page: Chromium, scheme: str) -> None:
    # WCAG 2.1, 1.4.3: 4.5 to 1.
    page.prefer(scheme)
    found = page.evaluate(CONTRAST)
    assert len(found) > 25
    assert [item for item in found if item[1] < 4.5] == []
    page.prefer("light")


@pytest.mark.parametrize(("width", "height"), [(320, 256), (390, 844), (667, 375), (820, 1180), (1280, 800)])
def test_every_screen_shows_image_and_controls(page: Chromium, width: int, height: int) -> None:
    page.resize(width, height, phone=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("view", "opacity", "save-table"):
        reached = f"""
          (() => {{
            const element = document.getElementById("{name}");
            element.scrollIntoView({{ block: "center" }});
            const box = element.getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, Math.min(box.y + box.height / 2, innerHeight - 1)];
            return document.elementFromPoint(x, y) === element;
          }})()
        """
        assert page.evaluate(reached), name
    page.resize(390, 844, phone=True)
