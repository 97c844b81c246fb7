"""Scores of single objects: panoptic quality, F1 of objects and aggregated Jaccard index, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.inference.instances import Parting
from leanseg.metrics.instances import object_counts
from leanseg.types import Mask, Probabilities
from leanseg.workflows.scoring import ClassScores


def with_objects(
    rows: Sequence[ClassScores],
    *,
    truth: Mask,
    prediction: Mask,
    said: NDArray[Any] | None,
    probabilities: Probabilities | None,
    objects: NDArray[Any] | None,
    valid: Mask,
    parting: Parting,
) -> list[ClassScores]:
    """Add the scores of objects to those of pixels.

    Args:
        rows: one for each class.
        truth: (K, *spatial).
        prediction: (K, *spatial), parted here.
        said: (K, *spatial) numbers of the predicted objects; they count instead where the contestant has some.
        probabilities: (K, *spatial), if there are any.
        objects: (*spatial) numbers of the true objects; None takes the connected pieces of the truth for objects.
        valid: (*spatial), True where scores count.
        parting: parts a mask, with its probabilities, into objects.
    """
    found = []
    for number, row in enumerate(rows):
        true = np.where(truth[number], objects, 0) if objects is not None else _pieces(truth[number])
        maps = None if probabilities is None else probabilities[number]
        parted = parting(prediction[number], maps) if said is None else np.where(prediction[number], said[number], 0)
        counts = object_counts(parted, true, valid=valid)
        scores = {"pq": counts.pq, "object_f1": counts.f1, "aji": counts.aji}
        found.append(replace(row, scores={**row.scores, **scores}))
    return found


def _pieces(mask: Mask) -> NDArray[np.int32]:
    labels: NDArray[np.int32] = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))[0].astype(np.int32)
    return labels
