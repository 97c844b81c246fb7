"""What is expected of label errors before an image is looked at, and learnt while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from leanseg.methods.label_error_field import Bound


class ErrorPrior:
    """Mean, deviation and correlations of the Gaussian field of label errors, in memory that processes share.

    Args:
        mu: mean of the logit of "this label is wrong".
        s: its standard deviation.
        rho: correlation of neighbours along each spatial axis, of the prior and of the posterior.
        kind: of the bound.

    Example:
        >>> prior = ErrorPrior(mu=-2.0, s=1.5, rho=(0.5, 0.5), kind="tight")
        >>> prior.learn(mu=-1.0)
        >>> prior.arguments()["mu"], prior.arguments()["rho"]
        (-1.0, (0.5, 0.5))
    """

    def __init__(self, *, mu: float, s: float, rho: Sequence[float], kind: Bound) -> None:
        self.kind: Bound = kind
        self.values = torch.tensor([mu, s, *rho], dtype=torch.float64)
        self.values.share_memory_()  # type: ignore[no-untyped-call]

    def arguments(self) -> dict[str, Any]:
        """As :func:`leanseg.methods.label_error_field.bound` takes them; expectations come from its table."""
        mu, s, *rho = self.values.tolist()
        return {"mu": mu, "s": s, "rho": tuple(rho), "rho_q": tuple(rho), "kind": self.kind, "nodes": None}

    def learn(self, *, mu: float | None = None, s: float | None = None, rho: float | None = None) -> None:
        """Replace what is given; a correlation counts for all axes."""
        for place, value in ((slice(0, 1), mu), (slice(1, 2), s), (slice(2, None), rho)):
            if value is not None:
                self.values[place] = value

    def restore(self, values: Tensor) -> None:
        """Take over the values of a checkpoint, into the memory that is shared already."""
        self.values.copy_(values)
