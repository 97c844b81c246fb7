"""Scores of numbered objects: panoptic quality, object F1, aggregated Jaccard index, count error."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks
from leanseg.types import Mask

Numbered = NDArray[Any]
"""Object numbers: (H, W) or (D, H, W), any integer type, 0 = background; gaps between the numbers do not matter."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ObjectCounts:
    """How predicted and true objects meet, in one image or, added, in many; made by :func:`object_counts`.

    A true and a predicted object match where their IoU exceeds 0.5; then neither can match another. Where one side is
    empty every score is 0; where both are, it is None (see :mod:`leanseg.metrics`).

    Args:
        tp, fp, fn: matched pairs, predicted objects without a match, true objects without a match.
        iou: the sum of the IoU of the matched pairs.
        overlap, union: pixels of the intersections and of the unions that make the aggregated Jaccard index.
        paired_overlap, paired_union: the same of AJI+.
        count_error: difference between the numbers of objects, without its sign; of many images the sum, in which too
            many here never make up for too few there.

    Example:
        >>> one, missed = ObjectCounts(tp=3, fp=1, iou=2.4, count_error=1), ObjectCounts(fn=2, count_error=2)
        >>> round(one.pq, 3), missed.pq, round((one + missed).pq, 3), (one + missed).count_error
        (0.686, 0.0, 0.533, 3)
        >>> ObjectCounts().both_empty, ObjectCounts().pq
        (True, None)
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: float = 0.0
    overlap: int = 0
    union: int = 0
    paired_overlap: int = 0
    paired_union: int = 0
    count_error: int = 0

    def __add__(self, other: ObjectCounts) -> ObjectCounts:
        names = [field.name for field in fields(self)]
        return ObjectCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def true_objects(self) -> int:
        """Number of objects of the truth."""
        return self.tp + self.fn

    @property
    def predicted_objects(self) -> int:
        """Number of objects of the prediction."""
        return self.tp + self.fp

    @property
    def both_empty(self) -> bool:
        """Neither truth nor prediction holds an object."""
        return self.true_objects + self.predicted_objects == 0

    @property
    def sq(self) -> float | None:
        """Segmentation quality: the mean IoU of the matched pairs; 0 when nothing matches."""
        return self._unless_empty(self.iou, self.tp)

    @property
    def rq(self) -> float | None:
        """Recognition quality: tp / (tp + fp / 2 + fn / 2), the F1 score of objects at IoU 0.5."""
        return self._unless_empty(2 * self.tp, self.true_objects + self.predicted_objects)

    f1 = rq

    @property
    def pq(self) -> float | None:
        """Panoptic quality: sq times rq."""
        return self._unless_empty(2 * self.iou, self.true_objects + self.predicted_objects)

    @property
    def aji(self) -> float | None:
        """Aggregated Jaccard index; a prediction may be the best match of several true objects, as published."""
        return self._unless_empty(self.overlap, self.union)

    @property
    def aji_plus(self) -> float | None:
        """AJI+: the aggregated Jaccard index of the best one-to-one pairing."""
        return self._unless_empty(self.paired_overlap, self.paired_union)

    def _unless_empty(self, part: float, whole: float) -> float | None:
        if self.both_empty:
            return None
        return part / whole if whole else 0.0


def object_counts(prediction: Numbered, truth: Numbered, *, valid: Mask | None = None) -> ObjectCounts:
    """Count how numbered objects meet.

    Aggregated Jaccard index: each true object is matched with the prediction of the highest IoU; their intersections
    over their unions, to which the true objects without overlap and the predictions that nobody chose are added. In the
    paper's Algorithm 1 a chosen prediction is only marked as used and may be chosen again, each time with its whole
    union; this is what is counted here. The MATLAB code of the MoNuSeg challenge removes it instead, so that the score
    depends on the order of the true objects. AJI+ pairs one to one such that the sum of the IoU is greatest.
    Ties are settled by reading order; the numbers themselves never matter.

    Args:
        prediction: (H, W) or (D, H, W) object numbers, 0 = background; what bears one number is one object.
        truth: the same shape.
        valid: True where pixels count; objects are cut there.

    Raises:
        UsageError: the numbers are no integers or negative, or shapes differ.

    Source:
        Kirillov et al., Panoptic segmentation, CVPR 2019, equations 1 and 2; Kumar et al., A dataset and a technique
        for generalized nuclear segmentation for computational pathology, IEEE TMI 36(7), 2017, Algorithm 1; AJI+ from
        the code of Graham et al., HoVer-Net, Medical Image Analysis 58, 2019.

    Example:
        >>> truth = np.array([[1, 1, 1, 1, 0, 2, 2, 2]])
        >>> found = object_counts(np.array([[7, 7, 7, 0, 0, 5, 4, 4]]), truth)
        >>> found.tp, found.fp, found.fn, round(found.pq, 3), round(found.aji, 3)
        (2, 1, 0, 0.567, 0.625)
    """
    _check(prediction, truth, valid)
    table = _overlaps(prediction, truth, valid)
    matched = 2 * table.shared > table.joint  # IoU > 0.5 in whole numbers
    tp, predicted, true = int(matched.sum()), table.predicted.size, table.true.size
    overlap, union = _aggregate(table, _best(table))
    paired_overlap, paired_union = _aggregate(table, _paired(table))
    return ObjectCounts(
        tp=tp,
        fp=predicted - tp,
        fn=true - tp,
        iou=float(table.iou[matched].sum()),
        overlap=overlap,
        union=union,
        paired_overlap=paired_overlap,
        paired_union=paired_union,
        count_error=abs(predicted - true),
    )


def _check(prediction: Numbered, truth: Numbered, valid: Mask | None) -> None:
    for name, labels in {"prediction": prediction, "truth": truth}.items():
        if not np.issubdtype(labels.dtype, np.integer):
            advice = "number the objects first, for example with leanseg.inference.instances"
            raise UsageError(f"{name} must hold object numbers (integers), found {labels.dtype}; {advice}")
        if labels.size and labels.min() < 0:
            raise UsageError(f"{name} must hold object numbers from 0 on, found {labels.min()}; set it to background")
    if prediction.shape != truth.shape:
        found = f"found {prediction.shape}; bring both to one grid first"
        raise UsageError(f"prediction must have the shape {truth.shape}, {found}")
    check_masks(truth.shape, valid=valid)


@dataclass(frozen=True, eq=False)
class _Table:
    """All pairs of a true and a predicted object that share pixels, objects numbered from 0 in reading order.

    Args:
        true, predicted: pixels of each object.
        row, column: the true and the predicted object of each pair, ascending.
        shared: pixels that a pair has in common.
    """

    true: Counts
    predicted: Counts
    row: Counts
    column: Counts
    shared: Counts

    @property
    def joint(self) -> Counts:
        """Pixels of the union of each pair."""
        return self.true[self.row] + self.predicted[self.column] - self.shared

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        return self.shared / self.joint


def _overlaps(prediction: Numbered, truth: Numbered, valid: Mask | None) -> _Table:
    one, other = (labels.ravel() if valid is None else labels[valid] for labels in (prediction, truth))
    # numbers change only at edges: sorting stretches of equal numbers takes a fraction of sorting pixels
    fresh = np.ones(one.size, bool)
    fresh[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    starts = np.flatnonzero(fresh)
    lengths = np.diff(starts, append=one.size)
    column, row = _in_reading_order(one[starts]), _in_reading_order(other[starts])
    predicted, true = (np.bincount(numbers, lengths, minlength=1)[1:].astype(np.int64) for numbers in (column, row))
    both = (row > 0) & (column > 0)
    pairs, which = np.unique((row[both] - 1) * predicted.size + column[both] - 1, return_inverse=True)
    shared = np.bincount(which, lengths[both], minlength=pairs.size).astype(np.int64)
    rows, columns = np.divmod(pairs, max(predicted.size, 1))
    return _Table(true, predicted, rows, columns, shared)


def _in_reading_order(numbers: Numbered) -> Counts:
    """Numbers 1, 2, ... in the order in which they first appear; 0 stays 0."""
    _, first, inverse = np.unique(np.append(numbers.dtype.type(0), numbers), return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse[1:]]


def _best(table: _Table) -> Counts:
    """The pair of highest IoU of each true object that shares a pixel with any prediction."""
    order = np.lexsort((-table.iou, table.row))
    _, first = np.unique(table.row[order], return_index=True)
    return order[first]


def _paired(table: _Table) -> Counts:
    """The pairs, none sharing an object, whose IoU have the greatest sum."""
    count, width = table.true.size, table.predicted.size + table.true.size
    if not table.row.size:
        return table.row
    # every true object may also stay alone, beside a column of its own that is worth nothing
    alone = np.arange(count)
    rows, columns = np.append(table.row, alone), np.append(table.column, table.predicted.size + alone)
    costs = 2 - np.append(table.iou, np.zeros(count))
    matching = min_weight_full_bipartite_matching(csr_matrix((costs, (rows, columns)), shape=(count, width)))
    return np.flatnonzero(np.isin(table.row * width + table.column, matching[0] * width + matching[1]))


def _aggregate(table: _Table, chosen: Counts) -> tuple[int, int]:
    """Pixels of the intersections and of the unions of some pairs, all objects without a pair joining the unions."""
    lonely_true = np.delete(table.true, table.row[chosen])
    lonely_predicted = np.delete(table.predicted, table.column[chosen])
    union = table.joint[chosen].sum() + lonely_true.sum() + lonely_predicted.sum()
    return int(table.shared[chosen].sum()), int(union)
