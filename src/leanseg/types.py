"""The words that every room shares: shape aliases, the classes of a task and a finished segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from leanseg.images.image import Image

Pixels: TypeAlias = NDArray[Any]
"""An image: (C, H, W) or (C, D, H, W), any number type."""

Labels: TypeAlias = NDArray[np.uint8]
"""Class numbers: (H, W) or (D, H, W), 0 = background, n = n-th class; overlapping classes: (K, *spatial) of 0/1."""

Mask: TypeAlias = NDArray[np.bool_]
"""True where something holds: (H, W) or (D, H, W)."""

Probabilities: TypeAlias = NDArray[np.float32]
"""One map in [0, 1] for each foreground class: (K, H, W) or (K, D, H, W)."""

PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe and Ito's colours, which any reader can tell apart; blue first, for tissue is red."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What can be segmented, how a mask file spells it and how a net answers.

    Args:
        names: the foreground classes, in the order of the class numbers 1, 2, ...
        values: the value of each class in a mask file; by default 1, 2, ...
        background: the value of the background in a mask file.
        ignore: a value in a mask file whose pixels count nowhere, if there is one.
        overlapping: a pixel may belong to several classes (one mask per class, sigmoid) instead of one (softmax).
        single_object: only the largest connected piece of each class is kept.
        colours: one ``#RRGGBB`` for each class.

    Raises:
        UsageError: names and values do not fit together.

    Example:
        >>> vessel = Classes(names=("vessel",), values=(255,))
        >>> vessel.encode(np.array([[0, 255]])).tolist(), vessel.outputs
        ([[0, 1]], 1)
    """

    names: tuple[str, ...]
    values: tuple[int, ...] = ()
    background: int = 0
    ignore: int | None = None
    overlapping: bool = False
    single_object: bool = False
    colours: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if count == 0:
            raise UsageError(
                "a task needs at least one class; give [classes] in dataset.toml, for example 1 = 'vessel'"
            )
        if len(set(self.names)) != count:
            raise UsageError(f"class names must differ, found {list(self.names)}")
        if not self.values:
            object.__setattr__(self, "values", tuple(range(1, count + 1)))
        if not self.colours:
            object.__setattr__(self, "colours", tuple(PALETTE[i % len(PALETTE)] for i in range(count)))
        spelled = [*(set(self.values) if self.overlapping else self.values), self.background]
        if len(self.values) != count or len(self.colours) != count or len(set(spelled)) != len(spelled):
            msg = f"{count} classes need {count} different values other than the background's {self.background}"
            raise UsageError(f"{msg}, found values {list(self.values)} and colours {list(self.colours)}")

    @property
    def outputs(self) -> int:
        """Channels that a net gives: 1 for one class, one each where classes overlap, else one each and background."""
        return len(self.names) if self.overlapping or len(self.names) == 1 else len(self.names) + 1

    @property
    def sigmoid(self) -> bool:
        """Whether each output is a probability by itself (else they compete in a softmax, background first)."""
        return self.overlapping or len(self.names) == 1

    def encode(self, values: NDArray[Any]) -> Labels:
        """Class numbers from the values of one mask file; ignored and unknown values become background."""
        labels = np.zeros(values.shape, np.uint8)
        for number, value in enumerate(self.values, start=1):
            labels[values == value] = number
        return labels

    def decode(self, labels: Labels) -> NDArray[Any]:
        """Values of a mask file from class numbers (exclusive classes) in the smallest fitting unsigned type."""
        table = np.array([self.background, *self.values])
        return table.astype(np.min_scalar_type(int(table.max())))[labels]

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as written to JSON and TOML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Classes:
        """The inverse of :meth:`to_dict`; lists become tuples."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**plain)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A score that is expected of a mask, without knowing the truth.

    Args:
        value: the expected score; None where nothing can be said.
        low, high: the interval that holds the true score as often as the model promises; None without a promise.
        usual: what nine of ten validation images could be trusted to reach, the low ends of their intervals.
        note: why value or interval are missing.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    usual: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How far a segmentation can be trusted.

    Args:
        dice: class -> its expected Dice.
        unlike: whether the image is unlike the training images; None where the model does not know.
        reasons: in which respects, the most striking first.
    """

    dice: Mapping[str, Expected]
    unlike: bool | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segmentation:
    """What a model says about one image.

    Args:
        labels: class numbers at the size of the image.
        classes: what the numbers mean.
        image: the image that was segmented, with its geometry and source.
        probabilities: (K, *spatial) in [0, 1], one map for each foreground class, when asked for.
        quality: how far it can be trusted.
    """

    labels: Labels
    classes: Classes
    image: Image
    probabilities: Probabilities | None = None
    quality: Quality | None = None

    def mask(self, name: str) -> Mask:
        """Where one class lies.

        Raises:
            UsageError: the model does not know a class of that name.
        """
        if name not in self.classes.names:
            raise UsageError(f"no class {name!r}; this model knows {list(self.classes.names)}")
        index = self.classes.names.index(name)
        found: Mask = self.labels[index] > 0 if self.classes.overlapping else self.labels == index + 1
        return found
