"""``leanseg demo``: the vessels of a real fundus photograph, found by the bundled model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leanseg.errors import InputError, MissingExtra
from leanseg.workflows.segment import Segment

PHOTOGRAPH = "data/retina.jpg"
"""Inside scikit-image: a normal left eye by Mikael Häggström, 1411 x 1411 pixels, CC0 1.0."""


@dataclass(kw_only=True)
class Demo:
    """Segment the vessels of the fundus photograph that scikit-image ships, and say where the results are.

    Args:
        out: the folder for the results.
    """

    out: Path = Path("demo-output")

    def run(self) -> int:
        """Segment the photograph and print where its mask, overlay and report are.

        Raises:
            MissingExtra: scikit-image is not installed.
        """
        begun = time.monotonic()
        image = photograph()
        code = Segment(images=(image,), model="vessels", out=self.out).run().exit_code
        if code == 0:
            _tell(self.out, image.stem, time.monotonic() - begun)
        return code


def photograph() -> Path:
    """The fundus photograph among the files of scikit-image; none of its code is imported.

    Raises:
        MissingExtra: scikit-image is not installed.
        InputError: this scikit-image has no such file.
    """
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("the photograph comes with scikit-image. Install it with: pip install 'leanseg[demo]'")
    path = Path(found.submodule_search_locations[0]) / PHOTOGRAPH
    if not path.is_file():
        raise InputError(path, "expected the photograph that scikit-image ships. Install scikit-image again.")
    return path


def _tell(out: Path, stem: str, seconds: float) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, file in (
        ("Mask", out / "masks" / f"{stem}.png"),
        ("Overlay", out / "overlays" / f"{stem}.png"),
        ("Report", out / "report.html"),
    ):
        table.add_row(name, Text(str(file)))
    table.add_row("Time", f"{seconds:.1f} s")
    Console(highlight=False).print(table)
