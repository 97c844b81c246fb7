"""Trains the bundled models ``skin-lesion`` and ``nuclei`` on openly licensed sets, and scores them on other sources.

    python benchmarks/zoo_models.py --model skin-lesion --downloads DIR --work DIR
    python benchmarks/zoo_models.py --model nuclei --downloads DIR --work DIR

Five networks, each blind to a fifth of the images, give threshold, temperature, expected Dice and the scores on the
training source; the model is one network more, trained on all images. Then it is scored once on sets that it never saw
(``--ship`` copies it into the package). Expected: clearly lower there, and "unlike" rates that say so.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import Results, Trial, run_facts, score, train
from leanseg.bundle import Bundle, model_card, read_bundle, write_bundle
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import write_splits
from leanseg.inference.predictor import Predictor
from leanseg.metrics.intervals import bootstrap_mean

LEFT_OUT = "left-out fifths"
RECIPE: dict[str, Any] = {"folds": 5, "refit": True, "epochs": 8, "threads": 1, "precision": "32-true", "snapshots": 0}


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A model that comes with leanseg.

    Args:
        source: public set and its folder below the downloads.
        others: those it is scored on, likewise.
        options: of the training.
        licence: of the weights, as the Hub spells it.
        text: what it does and where it fails, for its card.
        tags: by which the Hub finds it.
    """

    source: tuple[str, str]
    others: tuple[tuple[str, str], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str
    text: str
    tags: Sequence[str]


MODELS = {
    "skin-lesion": Shipped(
        source=("isic2017", "ISIC2017"),
        others=(("ph2", "PH2_60"),),
        options={"longest": 256},
        licence="cc0-1.0",
        text="Segments the lesion on dermoscopic pictures of skin. Hair, rulers, ink and dark corners can be taken for "
        "lesions; a lesion that fills the picture is cut short.",
        tags=("dermoscopy", "skin", "mini-net"),
    ),
    "nuclei": Shipped(
        source=("dsb2018", "DSB2018_nuclei"),
        others=(("monuseg", "MoNuSeg"),),
        licence="cc0-1.0",
        text="Segments nuclei on fluorescence and bright-field micrographs; `--instances` parts and counts them. "
        "Crowded nuclei stay together where no dark line parts them.",
        tags=("microscopy", "nuclei", "mini-net"),
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
sources that had no part in the training. "Called unlike" is the share of images that it flags itself.

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
    folders = {name: _prepared(name, given.downloads / folder, work) for name, folder in _sets(shipped)}
    options = {**RECIPE, "licence": shipped.licence, **shipped.options}
    name, _ = shipped.source
    run = work / "run"
    bundle = read_bundle(train(_unsplit(folders[name]), run, options, 0))
    results = Results(f"zoo_{given.model.replace('-', '_')}")
    if not results.holds(given.model, 0):
        trials: dict[str, Any] = {LEFT_OUT: {"images": _left_out(run)}}
        for other, _ in shipped.others:
            trial = score(bundle, Trial(name=other, data=folders[other], split="all"))
            trials[other] = {**trial, "unlike": _unlike(bundle, folders[other])}
        results.add({"arm": given.model, "seed": 0, "options": options, "note": "", **run_facts(run), "trials": trials})
    if given.ship:
        _ship(given.model, shipped, bundle, results.content["runs"][0])


def _sets(shipped: Shipped) -> tuple[tuple[str, str], ...]:
    return (shipped.source, *shipped.others)


def _prepared(name: str, download: Path, work: Path) -> Path:
    folder = work / name
    if not folder.exists():
        public_set(name).convert(download, folder)
    return folder


def _unsplit(folder: Path) -> Path:
    """All images are for training: the folds judge, and other sources test."""
    cases = open_dataset(folder).cases
    write_splits([replace(case, split="train") for case in cases], folder / "splits.csv")
    return folder


def _left_out(run: Path) -> list[dict[str, Any]]:
    """Dice of each image by the network that did not see it, as ``train`` reports it."""
    with (run / "scores.csv").open(newline="", encoding="utf-8") as file:
        return [{"image": r["image"], "patient": r["patient"], "dice": float(r["dice"])} for r in csv.DictReader(file)]


def _unlike(bundle: Bundle, folder: Path) -> float:
    """Share of the images that the model calls unlike its training images."""
    dataset, predictor = open_dataset(folder), Predictor(bundle=bundle, threads=1)
    return float(np.mean([bool(predictor.predict(dataset.read_image(c)).quality.unlike) for c in dataset.cases]))


def _ship(name: str, shipped: Shipped, bundle: Bundle, run: Mapping[str, Any]) -> None:
    assert bundle.folder is not None
    public = public_set(shipped.source[0])
    rows = ["| images | number | Dice (95 % interval) | called unlike |", "|---|---|---|---|"]
    for other, trial in run["trials"].items():
        dice = bootstrap_mean([r["dice"] for r in trial["images"]], groups=[r["patient"] for r in trial["images"]])
        low, high = dice.interval or (float("nan"), float("nan"))
        title = f"{public.title}, left-out fifths" if other == LEFT_OUT else public_set(other).title
        unlike = f"{trial['unlike']:.0%}" if "unlike" in trial else ""
        rows.append(f"| {title} | {dice.n} | {dice.mean:.3f} ({low:.3f} to {high:.3f}) | {unlike} |")
    text = CARD.format(
        name=name,
        text=shipped.text,
        parameters=run["parameters"],
        data=public.title,
        images=len(run["trials"][LEFT_OUT]["images"]),
        licence=public.licence,
        cite=f"{public.citation}.",
        weights=public.licence,
        scores="\n".join(rows),
    )
    card = model_card(text=text, licence=shipped.licence, tags=shipped.tags)
    files = {file: bundle.path(file).read_bytes() for file in bundle.files}
    zoo = Path(__file__).parents[1] / "src" / "leanseg" / "zoo" / name
    provenance = {"data": public.title, "script": "benchmarks/zoo_models.py", "recipe": run["options"]}
    write_bundle(replace(bundle, name=name, card=card, provenance=provenance), zoo, files=files)


if __name__ == "__main__":
    main()
