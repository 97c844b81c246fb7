"""1x1 convolutions with batch normalisation, folded while training: the statistics follow from the input's covariance.

Normalising W x + b needs its mean W m + b and its variance diag(W S W^T), where m and S are the mean and the
covariance of x. So one small matrix product gives the statistics, one 1x1 convolution gives the normalised sum of all
branches, and no intermediate image is ever written. The bias b cancels: it moves the running mean only, and its
gradient is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def pointwise_norm(x: Tensor, weights: list[Tensor], biases: list[Tensor], norms: list[nn.BatchNorm2d]) -> Tensor:
    """Sum of BN_i(W_i x_i + b_i) over branches i, in training mode, exactly as layer by layer.

    Args:
        x: (N, M C, H, W), the inputs of the M branches one behind the other.
        weights: (K, C) matrices, one for each branch.
        biases: (K,) vectors, one for each branch.
        norms: normalisation layers, whose running statistics are updated.

    Returns:
        (N, K, H, W).

    Example:
        >>> layer = nn.BatchNorm2d(1)
        >>> pointwise_norm(torch.tensor([[[[1.0, 3.0]]]]), [torch.ones(1, 1)], [torch.zeros(1)], [layer]).shape
        torch.Size([1, 1, 1, 2])
    """
    flat = x.flatten(2)
    count = flat.shape[0] * flat.shape[2]
    branches = flat.reshape(flat.shape[0], len(weights), -1, flat.shape[2])
    means, seconds = _Moments.apply(branches)  # type: ignore[no-untyped-call]
    rows, shift = [], torch.zeros_like(biases[0])
    for weight, bias, norm, mean, second in zip(weights, biases, norms, means, seconds, strict=True):
        centre = weight @ mean
        spread = ((weight @ (second - torch.outer(mean, mean))) * weight).sum(1).clamp_min(0)
        _update(norm, (centre + bias).detach(), spread.detach(), count)
        gain = norm.weight * torch.rsqrt(spread + norm.eps)
        rows.append(gain[:, None] * weight)
        # Zero times the bias: every parameter has a gradient, as training on several processes demands.
        shift = shift + norm.bias - gain * centre + 0 * bias
    matrix = torch.cat(rows, 1).expand(flat.shape[0], -1, -1)
    answer: Tensor = torch.baddbmm(shift[None, :, None], matrix, flat).view(x.shape[0], -1, *x.shape[2:])
    return answer


class _Moments(torch.autograd.Function):
    """Mean (M, C) and second moment (M, C, C) of (N, M, C, P) over N and P, with one product in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        images, branches, channels, pixels = x.shape
        flat = x.reshape(-1, channels, pixels)
        second = torch.bmm(flat, flat.transpose(1, 2)).view(images, branches, channels, channels).sum(0)
        return x.sum((0, 3)) / (images * pixels), second / (images * pixels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        to_mean, to_second = gradients
        images, _, channels, pixels = x.shape
        matrix = ((to_second + to_second.transpose(1, 2)) / (images * pixels)).repeat(images, 1, 1)
        shift = (to_mean / (images * pixels)).repeat(images, 1)[:, :, None]
        return torch.baddbmm(shift, matrix, x.reshape(-1, channels, pixels)).view(x.shape)


@torch.no_grad()
def _update(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics as ``BatchNorm2d`` does, unbiased variance and cumulative average included."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    step = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, step)
    norm.running_var.lerp_(variance * (count / max(count - 1, 1)), step)
