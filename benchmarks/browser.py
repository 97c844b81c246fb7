"""The exported page in headless Chromium beside Python: time, processor time and the masks' agreement.

    python benchmarks/browser.py --runtime onnxruntime-web-1.30.0.tgz [--images FILE ...]

Photographs are the one of the demo in four sizes, as PNG, and further files if given. Browser and Python take turns,
so that other load meets them alike. Python runs the bundle's ONNX file on one thread, reading included.
Writes benchmarks/results/browser.json.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from export.web.chromium import Chromium
from export.web.site import PHOTOGRAPH, Quiet, opened, saved
from harness import Results
from leanseg.bundle import read_bundle
from leanseg.export.web import export_web
from leanseg.images.read import read_image, read_mask
from leanseg.inference.predictor import Predictor

SIDES = (256, 512, 1024, 1411)
REPEATS = 8
STATES = "[...document.querySelectorAll('.state')]"
DURATIONS = "performance.getEntriesByName('segment').map((entry) => entry.duration / 1000)"


class Isolating(Quiet):
    """Sends the two headers with which browsers allow threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    results = Results("browser")
    results.content["runs"] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        export_web(read_bundle("vessels"), work / "page", runtime=arguments.runtime)
        pictures = [_resized(side, work) for side in SIDES] + arguments.images
        for arm, handler in (("one thread", Quiet), ("threads allowed", Isolating)):
            with _page(work, arm, handler) as (page, loaded):
                rows = [_measured(page, picture, work) for picture in pictures]
                record = {"browser": page.call("Runtime.evaluate", expression="navigator.userAgent")["result"]["value"]}
                results.add({"arm": arm, "seed": 0, **record, "seconds_to_load": loaded, "repeats": REPEATS,
                             "images": rows})  # fmt: skip


def _resized(side: int, folder: Path) -> Path:
    path = folder / f"retina_{side}.png"
    Pillow.open(PHOTOGRAPH).resize((side, side), Pillow.Resampling.LANCZOS).save(path)
    return path


@contextmanager
def _page(work: Path, arm: str, handler: type[Quiet]) -> Iterator[tuple[Chromium, float]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(work / "page")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Chromium(work / arm) as page:
        begun = time.perf_counter()
        opened(page, server)
        loaded = time.perf_counter() - begun
        server.shutdown()
        server.server_close()
        page.download_to(work)
        yield page, loaded


def _measured(page: Chromium, picture: Path, work: Path) -> dict[str, Any]:
    """Medians of a picture that is segmented several times, and its masks' agreement."""
    predictor = Predictor(bundle=read_bundle("vessels"), backend="onnx", threads=1)
    browser, python = [], []
    for _ in range(REPEATS + 1):
        browser.append(_in_browser(page, picture))
        begun, processor = time.perf_counter(), time.process_time()
        labels = predictor.predict(read_image(picture)).labels
        python.append((time.perf_counter() - begun, time.process_time() - processor))
    page.evaluate("document.querySelector('#list li:last-child button').click()")
    mask = work / f"{picture.stem}_mask.png"
    mask.unlink(missing_ok=True)
    same = float(((read_mask(saved(page, "save-mask", mask)) > 0) == (labels > 0)).mean())
    (seconds, cpu), (python_seconds, python_cpu) = np.median(browser[1:], axis=0), np.median(python[1:], axis=0)
    return {"image": picture.name, "pixels": list(labels.shape[-2:]), "agreement": same,
            "first_seconds": browser[0][0], "seconds": seconds, "processor_seconds": cpu,
            "python_seconds": python_seconds, "python_processor_seconds": python_cpu}  # fmt: skip


def _in_browser(page: Chromium, picture: Path) -> tuple[float, float]:
    """Seconds from reading the file to mask and judgement by the page's clock, and of the browser's processes."""
    count, before = page.evaluate(f"{STATES}.length") + 1, _processor_seconds(page)
    page.choose("#image-files", picture)
    page.wait(f"{STATES}.filter((state) => state.textContent.startsWith('vessel')).length === {count}")
    return page.evaluate_in_worker(DURATIONS)[-1], _processor_seconds(page) - before


def _processor_seconds(page: Chromium) -> float:
    """Of a browser and all processes that it started; Linux."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[number], ticks[number] = int(rest[1]), int(rest[11]) + int(rest[12])
    wanted = {page.process.pid}
    while more := {number for number, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(ticks.get(number, 0) for number in wanted) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
