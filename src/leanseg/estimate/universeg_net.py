"""The network UniverSeg, which segments as pairs of images and masks show it, and its file of weights."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import InputError

WIDTH, LEVELS = 64, 4

OFFICIAL = (
    ("enc_blocks.", "encoder."),
    ("dec_blocks.", "decoder."),
    (".cross.cross_conv.", ".cross."),
    (".target.vmapped.conv.", ".query."),
    (".support.vmapped.conv.", ".support."),
    ("out_conv.conv.", "head."),
)
"""Names in the authors' file -> ours."""

WHERE = (
    "UniverSeg needs the authors' weights, which leanseg never downloads: fetch universeg_v1_nf64_ss64_STA.pt from the "
    "releases of github.com/JJGO/UniverSeg, read their licence (OpenRAIL, with restrictions on use) and give its path "
    "as weights"
)


class CrossBlock(nn.Module):
    """A query and its supports look at one another.

    Each support is convolved together with the query; the query goes on with their mean, each support with its own.

    Args:
        query: channels of the query.
        support: channels of each support.

    Shape:
        (1, query, H, W) and (S, support, H, W) -> (1, 64, H, W) and (S, 64, H, W).

    Example:
        >>> sum(p.numel() for p in CrossBlock(1, 2).parameters())
        75648
    """

    def __init__(self, query: int, support: int) -> None:
        super().__init__()
        self.split = [query, support]
        self.cross = nn.Conv2d(query + support, WIDTH, 3, padding=1)
        self.query = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.support = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, query: Tensor, supports: Tensor) -> tuple[Tensor, Tensor]:
        # Convolution is linear: the query's share is the same for all supports and computed once.
        own, other = torch.split(self.cross.weight, self.split, dim=1)
        met = F.conv2d(supports, other, padding=1) + F.conv2d(query, own, self.cross.bias, padding=1)
        return F.leaky_relu(self.query(met.mean(0, keepdim=True))), F.leaky_relu(self.support(met))


class UniverSeg(nn.Module):
    """Four levels of :class:`CrossBlock` down and three up, with skips in both streams.

    Shape:
        query (1, 1, H, W), images (S, 1, H, W) in [0, 1] and masks (S, 1, H, W) of 0 and 1 -> logits (1, 1, H, W);
        H and W multiples of 8; S from 1, trained with 64.

    Source:
        Butoi et al., arXiv 2304.06131.

    Example:
        >>> sum(p.numel() for p in UniverSeg().parameters())
        1182785
    """

    def __init__(self) -> None:
        super().__init__()
        first, other = CrossBlock(1, 2), [CrossBlock(WIDTH, WIDTH) for _ in range(LEVELS - 1)]
        self.encoder = nn.ModuleList([first, *other])
        self.decoder = nn.ModuleList(CrossBlock(2 * WIDTH, 2 * WIDTH) for _ in range(LEVELS - 1))
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, query: Tensor, images: Tensor, masks: Tensor) -> Tensor:
        both = query, torch.cat([images, masks], 1)
        skips = []
        for level, block in enumerate(self.encoder):
            both = block(*(F.max_pool2d(x, 2) for x in both)) if level else block(*both)
            skips.append(both)
        for block, skip in zip(self.decoder, skips[-2::-1], strict=True):
            pairs = zip(both, skip, strict=True)
            both = block(*(torch.cat([_doubled(x), finer], 1) for x, finer in pairs))
        logits: Tensor = self.head(both[0])
        return logits


def load_universeg(path: str | Path) -> UniverSeg:
    """The network with the weights of the authors' file, which must fit name by name and shape by shape.

    Args:
        path: of ``universeg_v1_nf64_ss64_STA.pt``.

    Raises:
        InputError: the file does not exist, is no file of weights, or belongs to another network.

    Example:
        >>> load_universeg("nowhere.pt")
        Traceback (most recent call last):
        ...
        leanseg.errors.InputError: nowhere.pt: no such file. UniverSeg needs the authors' weights, ...
    """
    if not Path(path).is_file():
        raise InputError(path, f"no such file. {WHERE}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise InputError(path, f"not a file of weights ({error}). {WHERE}") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(path, f"expected named tensors, found something else. {WHERE}")
    tensors = {_our_name(str(name)): value for name, value in found.items()}
    net = UniverSeg()
    wanted = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    wrong = sorted(n for n in wanted.keys() | tensors.keys() if wanted.get(n) != _shape(tensors.get(n)))
    if wrong:
        msg = f"{len(wrong)} tensors lack, are too many or have other shapes, first {wrong[0]!r}"
        raise InputError(path, f"not the weights of UniverSeg v1: {msg}. {WHERE}")
    net.load_state_dict(tensors)
    return net.eval()


def _doubled(x: Tensor) -> Tensor:
    # Corners on corners, as the network was trained.
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _our_name(name: str) -> str:
    for theirs, ours in OFFICIAL:
        name = name.replace(theirs, ours)
    return name


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)
