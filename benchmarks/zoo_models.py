"""Trains bundled models on openly licensed sets, and scores them on images that they never saw.

    python benchmarks/zoo_models.py --model skin-lesion --downloads DIR --work DIR
    python benchmarks/zoo_models.py --model nuclei --downloads DIR --work DIR
    python benchmarks/zoo_models.py --model hard-exudates --downloads DIR --work DIR

Five networks, each blind to a fifth of the images, give threshold, temperature, expected Dice and the scores on the
training source; the model is one network more, trained on all images. Then it is scored once on sets that it never saw
(``--ship`` copies it into the package). Expected: clearly lower there, and "unlike" rates that say so. Of exudates only
one camera is openly licensed: its official test images stand in for another source, and the card says so.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import Results, Trial, run_facts, score, train
from leanseg.bundle import TRAINED_ON, Bundle, model_card, read_bundle, write_bundle
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import write_splits
from leanseg.inference.predictor import Predictor
from markdown_table import markdown_table
from zoo_tables import HEAD, LEFT_OUT, score_rows

RECIPE: dict[str, Any] = {"folds": 5, "refit": True, "epochs": 8, "threads": 1, "precision": "32-true", "snapshots": 0}
STAINS = {"gain": 0.2, "offset": 0.3, "gamma": 0.3, "mix": 0.5, "noise": 0.1, "blur": 1.0, "scale": 1.5}
"""Changes of grey values and size that keep a network from learning one stain."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where images come from.

    Args:
        public: the set.
        folders: below the downloads.
        prepare: writes a data folder from them; None where the set does it.
        title: instead of the set's.
    """

    public: str
    folders: tuple[str, ...]
    prepare: Callable[[Sequence[Path], Path], None] | None = None
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A model that comes with leanseg.

    Args:
        source: what it learns from.
        others: what it is scored on.
        options: of the training.
        licence: of the weights, as the Hub spells it.
        text: what it does and where it fails, for its card.
        tags: by which the Hub finds it.
    """

    source: Origin
    others: tuple[Origin, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str
    text: str
    tags: Sequence[str]


def micrographs(folders: Sequence[Path], out: Path) -> None:
    """DSB 2018, with two sites that count the same: bright nuclei on dark, and the fewer stained ones on bright."""
    dataset = public_set("dsb2018").convert(folders[0], out)
    bright = [bool(dataset.read_image(case).pixels.mean() > 128) for case in dataset.cases]
    cases = [
        replace(case, site="stained" if light else "fluorescence")
        for case, light in zip(dataset.cases, bright, strict=True)
    ]
    write_splits(cases, out / "splits.csv")


def exudates(folders: Sequence[Path], out: Path, *, test: bool) -> None:
    """Hard exudates of IDRiD from two copies, one of which has them alone: images 1 to 54, or the official test."""
    for part in ("images", "masks"):
        (out / part).mkdir(parents=True)
    for folder in folders:
        for mask in sorted((folder / "masks_EX").glob("IDRiD_*.png")):
            stem = mask.stem.removesuffix("_EX")
            if (int(stem.removeprefix("IDRiD_")) > 54) == test:
                shutil.copy(folder / "images" / f"{stem}.jpg", out / "images")
                shutil.copy(mask, out / "masks" / f"{stem}.png")
    text = 'name = "IDRiD, hard exudates"\nmodality = "fundus photograph"\n\n[classes]\n255 = "hard-exudate"\n'
    (out / "dataset.toml").write_text(text, encoding="utf-8")


IDRID = ("IDRiD_EX_OD_10", "IDRiD_lesions_8")
MODELS = {
    "skin-lesion": Shipped(
        source=Origin(public="isic2017", folders=("ISIC2017",)),
        others=(Origin(public="ph2", folders=("PH2_60",)),),
        options={"longest": 256},
        licence="cc0-1.0",
        text="Segments the lesion on dermoscopic pictures of skin. Hair, rulers, ink and dark corners can be taken for "
        "lesions; a lesion that fills the picture is cut short.",
        tags=("dermoscopy", "skin", "mini-net"),
    ),
    "nuclei": Shipped(
        source=Origin(public="dsb2018", folders=("DSB2018_nuclei",), prepare=micrographs),
        others=(Origin(public="monuseg", folders=("MoNuSeg",)),),
        options={"balance_sites": True, "augment": STAINS},
        licence="cc0-1.0",
        text="Segments nuclei on fluorescence micrographs; `--instances` parts and counts them. Crowded nuclei stay "
        "together where no dark line parts them. On stained tissue it is a start to train from: it misses many.",
        tags=("microscopy", "nuclei", "mini-net"),
    ),
    "hard-exudates": Shipped(
        source=Origin(public="idrid", folders=IDRID, prepare=partial(exudates, test=False)),
        others=(
            Origin(
                public="idrid",
                folders=IDRID,
                prepare=partial(exudates, test=True),
                title="IDRiD, test (the same camera)",
            ),
        ),
        options={"field_of_view": "fundus", "diameter": 1024, "foreground": 0.5, "loss": "tversky"},
        licence="cc-by-4.0",
        text="Segments hard exudates on colour fundus photographs. Reflections, the optic disc and cotton-wool spots "
        "can pass for exudates; no other camera has tested it.",
        tags=("fundus", "diabetic-retinopathy", "exudates", "mini-net"),
    ),
}

CARD = """# {name}

{text} One Mini-Net as reconstructed by leanseg: {parameters:,} trainable parameters.

**Data.** {data}: {images} images, {licence}. {cite} Weights: {weights}.

**Recipe.** `benchmarks/zoo_models.py` trains it again: five networks, each blind to a fifth of the images, for
threshold, temperature and expected Dice; then one on all images, which is the model.

**Scores** (mean Dice of images at the size of the file, no flips, one seed):

{scores}

"Left-out fifths" are the five networks on images that each did not see; elsewhere it is this model, on images of
sources that had no part in the training. "Expected by the model" is the mean of what it says of its own masks, "called
unlike" the share of images that it flags.

**Limits.** For research; not a medical device. Few images of one collection.
"""


def main() -> None:
    """Train, score, and write the model with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--downloads", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--ship", action="store_true", help="copy the model into the package")
    given = parser.parse_args()
    shipped, work = MODELS[given.model], given.work / given.model
    options = {**RECIPE, "licence": shipped.licence, **shipped.options}
    run = work / "run"
    bundle = read_bundle(train(_unsplit(_prepared(shipped.source, given.downloads, work)), run, options, 0))
    results = Results(f"zoo_{given.model.replace('-', '_')}")
    if not results.holds(given.model, 0):
        trials: dict[str, Any] = {LEFT_OUT: {"images": _left_out(run)}}
        for other in shipped.others:
            title, folder = _title(other), _prepared(other, given.downloads, work)
            trial = score(bundle, Trial(name=title, data=folder, split="all"))
            trials[title] = {**trial, **_own_opinion(bundle, folder)}
        results.add({"arm": given.model, "seed": 0, "options": options, "note": "", **run_facts(run), "trials": trials})
    if given.ship:
        _ship(given.model, shipped, bundle, results.content["runs"][0])


def _title(origin: Origin) -> str:
    return origin.title or public_set(origin.public).title


def _prepared(origin: Origin, downloads: Path, work: Path) -> Path:
    folder = work / _title(origin).replace(" ", "-")
    if not folder.exists():
        sources = [downloads / name for name in origin.folders]
        if origin.prepare is not None:
            origin.prepare(sources, folder)
        else:
            public_set(origin.public).convert(sources[0], folder)
    return folder


def _unsplit(folder: Path) -> Path:
    """No image is for testing: the folds judge, and other sources test."""
    cases = open_dataset(folder).cases
    # Were all for training, test images would be drawn from them; folds mix both again.
    first = cases[0].patient
    write_splits(
        [replace(case, split="val" if case.patient == first else "train") for case in cases], folder / "splits.csv"
    )
    return folder


def _left_out(run: Path) -> list[dict[str, Any]]:
    """Dice of each image by the network that did not see it, as ``train`` reports it."""
    with (run / "scores.csv").open(newline="", encoding="utf-8") as file:
        return [{"image": r["image"], "patient": r["patient"], "dice": float(r["dice"])} for r in csv.DictReader(file)]


def _own_opinion(bundle: Bundle, folder: Path) -> dict[str, float]:
    """The mean Dice that the model expects, and the share of images that it calls unlike its training images."""
    dataset, predictor = open_dataset(folder), Predictor(bundle=bundle, threads=1)
    found = [predictor.predict(dataset.read_image(case)).quality for case in dataset.cases]
    expected = [one.value for quality in found for one in quality.dice.values() if one.value is not None]
    return {"expected": float(np.mean(expected)), "unlike": float(np.mean([bool(q.unlike) for q in found]))}


def _ship(name: str, shipped: Shipped, bundle: Bundle, run: Mapping[str, Any]) -> None:
    assert bundle.folder is not None
    public = public_set(shipped.source.public)
    text = CARD.format(
        name=name,
        text=shipped.text,
        parameters=run["parameters"],
        data=public.title,
        images=len(run["trials"][LEFT_OUT]["images"]),
        licence=public.licence,
        cite=f"{public.citation}.",
        weights=public.licence,
        scores=markdown_table(HEAD, *score_rows(run)),
    )
    card = model_card(text=text, licence=shipped.licence, tags=shipped.tags)
    files = {file: bundle.path(file).read_bytes() for file in (*bundle.files, TRAINED_ON)}
    zoo = Path(__file__).parents[1] / "src" / "leanseg" / "zoo" / name
    provenance = {"data": public.title, "script": "benchmarks/zoo_models.py", "recipe": run["options"]}
    write_bundle(replace(bundle, name=name, card=card, provenance=provenance), zoo, files=files)


if __name__ == "__main__":
    main()
