"""The masks of a model and of its snapshots, from which a score without labels is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leanseg.bundle import Bundle
from leanseg.estimate.confidence import Confidence
from leanseg.images.image import Image
from leanseg.images.preprocess import Prepared
from leanseg.inference.predictor import Predictor
from leanseg.types import Mask, Quality
from leanseg.workflows.scoring import class_masks


@dataclass(frozen=True)
class Seen:
    """One image as a model saw it.

    Args:
        masks: (K, *spatial), one for each class.
        confidences: K, of its probabilities.
        quality: what the model expects of it.
    """

    masks: Mask
    confidences: tuple[Confidence, ...]
    quality: Quality | None


def checkpoints(bundle: Bundle, *, threads: int | None = None, device: str = "cpu") -> list[Predictor]:
    """The model as it was while it learnt, the earliest first, and at last as it is.

    Threshold and temperature are those of the finished model.
    """
    first = bundle.parts[0]
    alone = [replace(bundle, parts=(replace(first, weights=name, onnx=None),)) for name in bundle.snapshots]
    early = [Predictor(bundle=one, backend="torch", threads=threads, device=device) for one in alone]
    graphs = all(part.onnx is not None for part in bundle.parts) and device != "mps"
    final = Predictor(bundle=bundle, backend="onnx" if graphs else "torch", threads=threads, device=device)
    return [*early, final]


def look(predictors: Sequence[Predictor], images: Sequence[Image], advance: Callable[[], None]) -> list[list[Seen]]:
    """Segment all images with all checkpoints: for each checkpoint a list over the images.

    Args:
        predictors: of :func:`checkpoints`.
        images: as they were read.
        advance: called after each image.

    Raises:
        InputError: an image does not suit the model.
    """
    rows: list[list[Seen]] = [[] for _ in predictors]
    for image in images:
        # All checkpoints have one preprocessing, which takes as long as a small network.
        prepared = predictors[0].prepare(image)
        for row, predictor in zip(rows, predictors, strict=True):
            row.append(_see(predictor, prepared))
        advance()
    return rows


def _see(predictor: Predictor, prepared: Prepared) -> Seen:
    found = predictor.whole(prepared, probabilities=True)
    assert found.probabilities is not None
    masks = class_masks(found.labels, predictor.bundle.classes)
    confidences = tuple(Confidence.of(p, m) for p, m in zip(found.probabilities, masks, strict=True))
    return Seen(masks=np.asarray(masks, bool), confidences=confidences, quality=found.quality)
