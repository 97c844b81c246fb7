"""From trained networks to a bundle: weights, checked ONNX graphs, calibration and the card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from leanseg import __version__
from leanseg.bundle import TRAINED_ON, Bundle, Part, model_card, write_bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.export.onnx import export_onnx
from leanseg.workflows.appraise import appraised
from leanseg.workflows.calibrate import about_never_shown, calibrated, judge
from leanseg.workflows.config import configuration
from leanseg.workflows.plan import Plan
from leanseg.workflows.train_checks import IMAGENET

if TYPE_CHECKING:
    from torch import nn

    from leanseg.workflows.train import Train

CALIBRATION = "Threshold and temperature come from validation images."
REFITTED = " Then the network was trained once more, on training and validation images together."

CARD = """# {name}

Segments {classes} in {modality}images. Trained by leanseg {version} on {data} ({train} training, {val} validation
images) with `{net}`, {parameters:,} trainable parameters{parts}. {calibration}

Scores stand in the report beside the model. Licence of the training data: {licence}.

**Limits.** For research; not a medical device. Scores hold for images like those of the training set.
"""


def bundled(
    options: Train,
    dataset: Dataset,
    plan: Plan,
    nets: Sequence[nn.Module],
    unseen: Sequence[Sequence[Case]],
    digests: Iterable[str],
) -> Bundle:
    """Write ``OUT/model`` and calibrate it on the validation cases of each fold.

    Args:
        options: of the command.
        dataset: the training data.
        plan: of the training.
        nets: one trained network for each fold.
        unseen: the validation cases of each fold.
        digests: of all images that networks learn from.
    """
    from safetensors.torch import save

    from leanseg.methods import method_class
    from leanseg.nets.imagenet_weights import LICENCE
    from leanseg.workflows.snapshots import snapshots_of

    channels = len(plan.preprocessing.channels)
    files: dict[str, bytes] = {}
    parts = []
    for number, net in enumerate(nets):
        stem = "model" if len(nets) == 1 else f"model-{number}"
        files |= {f"{stem}.safetensors": save(net.state_dict()), f"{stem}.onnx": export_onnx(net, channels=channels)}
        parts.append(_part(plan, net, stem))
    last = options.out / "fold-0" / method_class(options.method).stages_for(dataset.classes)[-1]
    copies = {f"estimate/{n:02d}.safetensors": part for n, part in enumerate(snapshots_of(last, nets[0]))}
    files |= copies | {TRAINED_ON: "\n".join(sorted(set(digests))).encode()}
    bundle = Bundle(
        name=options.out.resolve().name,
        parts=tuple(parts),
        classes=dataset.classes,
        preprocessing=plan.preprocessing,
        snapshots=tuple(copies),
        provenance={"leanseg": __version__, "data": dataset.name, "training": _recipe(options)},
        data_licence=dataset.licence,
    )
    folder = options.out / "model"
    judged = []
    for part, cases in zip(parts, unseen, strict=True):
        # Each network judges only images that it has not seen.
        by_itself = write_bundle(replace(bundle, parts=(part,)), folder, files=files)
        judged.append(judge(by_itself, dataset, cases, flips=options.flips))
    everything = reduce(add, judged)
    notes = about_never_shown(dataset.classes, everything.truths)
    notes += (f"Training started from {LICENCE}.",) if options.init == IMAGENET else ()
    bundle = calibrated(replace(bundle, card=_card(options, dataset, plan, nets, notes)), everything)
    # All files stay in the folder, so that each network can be opened by itself.
    alone = [write_bundle(replace(bundle, parts=(part,)), folder, files=files) for part in bundle.parts]
    return write_bundle(appraised(bundle, alone, dataset, unseen, flips=options.flips), folder, files=files)


def refitted(bundle: Bundle, net: nn.Module) -> Bundle:
    """Put one network, trained again on all images, in place of those that chose its threshold and temperature.

    Args:
        bundle: calibrated, written; its folder is written anew.
        net: the network that takes over.
    """
    from safetensors.torch import save

    assert bundle.folder is not None
    first = bundle.parts[0]
    # Temperatures divide logits, so that they average as logarithms.
    logarithms = [[math.log(t) for t in part.temperature] for part in bundle.parts]
    temperature = tuple(math.exp(sum(column) / len(column)) for column in zip(*logarithms, strict=True))
    part = replace(first, weights="model.safetensors", onnx="model.onnx", temperature=temperature)
    channels = len(bundle.preprocessing.channels)
    files = {"model.safetensors": save(net.state_dict()), "model.onnx": export_onnx(net, channels=channels)}
    files |= {name: bundle.path(name).read_bytes() for name in (*bundle.snapshots, TRAINED_ON)}
    return write_bundle(replace(bundle, parts=(part,)), bundle.folder, files=files)


def _recipe(options: Train) -> dict[str, Any]:
    """The options without paths, which say nothing elsewhere and may hold names of people."""
    private = ("data", "out", "init", "verb", "version", "resume")
    return {name: value for name, value in configuration(options).items() if name not in private and value is not None}


def _part(plan: Plan, net: nn.Module, stem: str) -> Part:
    return Part(
        net=plan.net,
        keywords=plan.keywords,
        weights=f"{stem}.safetensors",
        onnx=f"{stem}.onnx",
        dims=int(getattr(net, "dims", 2)),
        divisor=int(getattr(net, "divisor", 1)),
        halo=getattr(net, "halo", None),
        window=plan.window,
        bytes_per_pixel=int(getattr(net, "bytes_per_pixel", 1024)),
    )


def _card(options: Train, dataset: Dataset, plan: Plan, nets: Sequence[nn.Module], notes: Sequence[str]) -> str:
    text = CARD.format(
        name=options.out.resolve().name,
        classes=", ".join(dataset.classes.names),
        modality=f"{dataset.modality} " if dataset.modality else "",
        version=__version__,
        data=dataset.name or "a data set without a name",
        train=len(dataset.subset("train")),
        val=len(dataset.subset("val")),
        net=plan.net,
        calibration=" ".join((CALIBRATION + (REFITTED if options.refit else ""), *notes)),
        parameters=sum(p.numel() for p in nets[0].parameters()),
        parts=f" each, {len(nets)} networks averaged" if len(nets) > 1 and not options.refit else "",
        licence=dataset.licence or "not stated",
    )
    return model_card(text=text, licence=options.licence, tags=[plan.net])
