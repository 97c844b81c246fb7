"""The pictures of the page on bundled models: what ``leanseg segment`` draws over images that scikit-image ships.

    python benchmarks/gallery.py

None of these images has been in a training. Nobody drew masks for them, so that they show and do not measure.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import skimage
from PIL import Image as Pillow

import leanseg
from leanseg.images.atomic import replacing

SOURCES = Path(skimage.__file__).parent / "data"
PICTURES = Path(__file__).parents[1] / "docs" / "images"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture of the page.

    Args:
        file: of scikit-image.
        model: that segments it.
        instances: whether objects are parted.
    """

    file: str
    model: str
    instances: bool = False


GALLERY = {
    "demo": Shown(file="retina.jpg", model="vessels"),
    "nuclei-tissue": Shown(file="ihc.png", model="nuclei", instances=True),
}


def main() -> None:
    """Segment and keep the overlays."""
    for name, shown in GALLERY.items():
        with tempfile.TemporaryDirectory() as folder:
            image, out = SOURCES / shown.file, Path(folder) / "out"
            leanseg.segment(images=(image,), model=shown.model, out=out, instances=shown.instances)
            overlay = Pillow.open(out / "overlays" / f"{image.stem}.png").convert("RGB")
        overlay.thumbnail((900, 900))
        with replacing(PICTURES / f"{name}.jpg") as temporary:
            overlay.save(temporary, format="JPEG", quality=88, optimize=True)


if __name__ == "__main__":
    main()
