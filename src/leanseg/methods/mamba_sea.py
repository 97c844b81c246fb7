"""For images of scanners that training never saw: noise in the style of features and images, and answers that agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from torch import nn

from leanseg.errors import UsageError
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.samples import Sample
from leanseg.methods.random_appearance import RandomAppearance
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import Method, Stage
from leanseg.methods.supervised import settled
from leanseg.methods.two_views import Agreement, TwoViews
from leanseg.nets.global_appearance import GlobalAppearance
from leanseg.nets.token_style import attach_token_style, without_token_style

Appearance = Literal["random", "gva", "none"]


class MambaSea(Method):
    """Learns from sites that are known for sites that are not.

    Any network will do: token style disturbs what its scans or its encoder stages give. One network sees both views,
    half the memory of the published pair and no question which one to keep.

    Args:
        net: the network.
        loss: takes logits, target and valid; of both views with equal weight.
        schedule: crops, steps and optimiser; ``by_site`` balances the sites.
        token_style: whether features are disturbed.
        style_p: chance of it, for each place and direction.
        style_window: share of the tokens that is, 1 for all (DSU).
        gain_floor: of :class:`~leanseg.nets.token_style.TokenStyle`.
        appearance: of the second view: "random", "gva" (learnt) or "none" for one view.
        consistency: weight of the disagreement of both views.
        agreement: between "probabilities" or "logits".

    Raises:
        UsageError: an unknown appearance, or nothing is left of the method; see also ``attach_token_style``.

    Source:
        Cheng et al., Mamba-Sea, IEEE TMI 2025, arXiv 2504.17515: L = mean of both losses + 0.1 MSE. Published with two
        networks, agreement of logits and the learnt appearance.
    """

    needs_unlabelled: ClassVar[bool] = False
    stage_names: ClassVar[tuple[str, ...]] = ("fit",)
    defaults: ClassVar[Mapping[str, Any]] = {"balance_sites": True}

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        token_style: bool = True,
        style_p: float = 0.5,
        style_window: float = 0.5,
        gain_floor: float | None = None,
        appearance: Appearance = "random",
        consistency: float = 0.1,
        agreement: Agreement = "probabilities",
    ) -> None:
        if appearance not in get_args(Appearance) or agreement not in get_args(Agreement):
            wanted = f"an appearance of {', '.join(get_args(Appearance))} and an agreement of {get_args(Agreement)}"
            raise UsageError(f"mamba-sea: expected {wanted}, found {appearance!r} and {agreement!r}")
        if not token_style and appearance == "none":
            raise UsageError("mamba-sea: without token style and appearance nothing is left of it; use supervised")
        self.schedule, self.appearance = schedule, appearance
        options = {"p": style_p, "window": style_window, "gain_floor": gain_floor}
        styles = attach_token_style(net, **options) if token_style else []
        self.module = TwoViews(
            net=net,
            loss=loss,
            appearance=RandomAppearance() if appearance == "random" else None,
            consistency=consistency,
            agreement=agreement,
            styles=styles,
            **schedule.fitting(epochs=schedule.epochs),
        )
        self._train: Sequence[Sample] = ()
        self._val: Sequence[Sample] = ()

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """One fit."""
        self._train, self._val = train, val
        schedule = self.schedule
        if self.appearance == "gva":
            self.module.appearance = GlobalAppearance(channels=len(train[0].image))
        loader = crop_loader(schedule.crops(train, self.network), steps=schedule.epoch_steps, workers=schedule.workers)
        (name,) = self.stage_names
        yield Stage(name=name, module=self.module, train=loader, val=sample_loader(val), epochs=schedule.epochs)

    @property
    def network(self) -> nn.Module:
        """The network as it was given, but for places for noise that do nothing in use."""
        return self.module.net

    def result(self) -> nn.Module:
        """The averaged weights without noise, settled."""
        return settled(without_token_style(self.module.averaged), self._train, self._val, self.schedule)
