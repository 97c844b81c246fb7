"""Training an encoder by contrast: images, regions of an image, and images that are built alike."""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from leanseg.loading.crops import Batch
from leanseg.losses.supervised_contrastive import supervised_contrastive
from leanseg.methods.image_contrast import instance_mask, joined_components, superpixel_maps
from leanseg.methods.segmenter import Segmenter
from leanseg.methods.superpixel_contrast import (
    cell_regions,
    random_positions,
    superpixel_contrast,
    variance_inside_regions,
)
from leanseg.nets.padding import pad_to_multiple

WEIGHTS = {"ins": 1.0, "intra": 1.0, "inter": 0.5}
"""Of the terms, by name."""

LEVELS = 4
"""The last of so many levels has one feature cell for 8 x 8 pixels: coarser cells hold several regions."""

EMBEDDING = 512
"""Length of an image's vector."""


class Projected(nn.Module):
    """A copy of a network whose encoder is trained, with a head that makes one vector of an image.

    Parameters that the coarsest features do not depend on are frozen.

    Args:
        net: has ``encode``.
        channels: of the image.
        seed: of the head's first weights; the generator of torch is left as it was.

    Shape:
        (N, C, H, W) -> features (N, F, h, w); ``head`` maps these to (N, 512).
    """

    dims = 2
    net: Any
    head: nn.Module

    def __init__(self, net: nn.Module, *, channels: int, seed: int) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).eval().requires_grad_(True)
        self.divisor = int(getattr(net, "divisor", 1))
        parameters = list(self.net.parameters())
        features = self(torch.zeros(1, channels, self.divisor, self.divisor))
        gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        width = features.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, EMBEDDING))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net.encode(pad_to_multiple(x, self.divisor), LEVELS)[-1]
        return features


class ContrastivePretraining(Segmenter):
    """Trains the encoder of a network on batches of :class:`~leanseg.loading.views.Views`.

    The loss is L_ins + L_intra + 0.5 L_inter, all of one form
    (:func:`~leanseg.losses.supervised_contrastive.supervised_contrastive`). It logs every term, the cells compared in
    an image, the share of the features' variance inside regions, the mean and largest number of images that chains of
    neighbours joined, and the share of steps in which such a component was split.

    Args:
        net: encoder and head.
        terms: those of "ins", "intra" and "inter" that count.
        n_positions: feature cells compared in each image.
        graph: of :func:`~leanseg.methods.image_contrast.joined_components`.
        asp_norm, asp_input: norm and values of :func:`~leanseg.methods.image_contrast.superpixel_maps`.
        settings: of :class:`Segmenter`.

    Source:
        SuperCL, arXiv 2504.14737, section 3.
    """

    def __init__(
        self,
        *,
        net: Projected,
        terms: tuple[str, ...],
        n_positions: int,
        graph: Literal["nn", "mutual"],
        asp_norm: Literal["region", "all"],
        asp_input: Literal["centred", "raw"],
        **settings: Any,
    ) -> None:
        # The true labels have no part in it.
        super().__init__(net=net, loss=nn.Identity(), **settings)
        if hasattr(net.net, "folded"):
            self._format = torch.contiguous_format
        self.terms, self.n_positions = terms, n_positions
        self.graph: Literal["nn", "mutual"] = graph
        self.asp_norm: Literal["region", "all"] = asp_norm
        self.asp_input: Literal["centred", "raw"] = asp_input
        self._plain = not {"intra", "inter"}.isdisjoint(terms)
        self._warped = not {"ins", "inter"}.isdisjoint(terms)
        net.head.requires_grad_(self._warped)
        self._facts: dict[str, Tensor | float] = {}

    @property
    def projected(self) -> Projected:
        """Encoder and head while they learn."""
        assert isinstance(self.net, Projected)
        return self.net

    def pretrained(self) -> nn.Module:
        """The network with the averaged weights of its encoder, on the CPU, without the head."""
        averaged = self.averaged
        assert isinstance(averaged, Projected)
        net: nn.Module = copy.deepcopy(averaged.net)
        return net.cpu()

    def training_loss(self, batch: Batch) -> Tensor:
        """The weighted sum of the terms."""
        terms = self.contrasts(batch)
        self._facts |= {name: term.detach() for name, term in terms.items()}
        return torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()

    def contrasts(self, batch: Batch) -> dict[str, Tensor]:
        """Every term by itself."""
        names = [*("image", "second") * self._plain, *("third", "fourth") * self._warped]
        x = torch.cat([batch[name] for name in names]).contiguous(memory_format=self._format)
        features, pairs = self.net(x), 2 * len(batch["image"])
        vectors = self.projected.head(features[-pairs:]) if self._warped else features
        plain, cells = features[:pairs], self._cells(batch, features) if self._plain else None
        if cells is not None:
            self._facts["inside_regions"] = variance_inside_regions(plain[: len(cells)], cells)
        terms = {}
        if "ins" in self.terms:
            terms["ins"] = supervised_contrastive(vectors, same_image(batch))
        if "intra" in self.terms and cells is not None:
            terms["intra"] = self._inside(plain, cells)
        if "inter" in self.terms and cells is not None:
            terms["inter"] = supervised_contrastive(vectors, self._alike(plain, cells) | drawn_twice(batch))
        return terms

    def _cells(self, batch: Batch, features: Tensor) -> Tensor:
        regions = pad_to_multiple(batch["regions"][:, None], self.projected.divisor)[:, 0]
        return cell_regions(regions, (features.shape[2], features.shape[3]))

    def _inside(self, plain: Tensor, cells: Tensor) -> Tensor:
        """The contrast between cells of an image."""
        positions = [random_positions(one, count=self.n_positions) for one in cells]
        self._facts["cells"] = sum(len(at) for at in positions) / len(positions)
        return superpixel_contrast(*centred(plain), cells, positions)

    def _alike(self, plain: Tensor, cells: Tensor) -> Tensor:
        """Which views show images that are built alike."""
        maps = superpixel_maps(plain, cells.repeat(2, 1, 1), norm=self.asp_norm, values=self.asp_input)
        found = joined_components(maps, graph=self.graph)
        sizes = found.sizes.tolist()
        self._facts |= {"component": sum(sizes) / len(sizes), "largest": float(max(sizes)), "split": float(found.split)}
        return found.mask

    def training_step(self, batch: Batch, step: int) -> Tensor:
        loss: Tensor = super().training_step(batch, step)
        size = len(batch["image"])
        self.log_dict(self._facts, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss


def same_image(batch: Batch) -> Tensor:
    """Views of one image or of slices at one height, (2N, 2N) bool on the CPU."""
    return instance_mask(len(batch["index"]), positions=batch["position"]) | drawn_twice(batch)


def drawn_twice(batch: Batch) -> Tensor:
    """Views of crops of one image, (2N, 2N) bool on the CPU."""
    index = batch["index"].cpu().repeat(2)
    same: Tensor = index[:, None] == index
    return same


def centred(views: Tensor) -> tuple[Tensor, Tensor]:
    """First and second views (N, F, h, w) of 2N, less what all cells of an image have in common.

    Features behind a ReLU are all positive, so that any two cells would look alike.

    Example:
        >>> [view.flatten().tolist() for view in centred(torch.tensor([[[[1.0, 2.0]]], [[[3.0, 6.0]]]]))]
        [[-2.0, -1.0], [0.0, 3.0]]
    """
    first, second = views.float().chunk(2)
    mean = (first + second).mean((2, 3), keepdim=True) / 2
    return first - mean, second - mean
