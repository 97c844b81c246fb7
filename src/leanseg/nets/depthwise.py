"""Depthwise convolutions of one rectified input, several kernels at once: compiled for the CPU, plain elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.nets._tracing import is_tracing

try:
    from leanseg.nets import _depthwise_cpu
except (ImportError, RuntimeError):
    # numba is optional, and refuses to load where it may write its cache nowhere: training is slower, never different.
    _depthwise_cpu = None  # type: ignore[assignment]


def rectified_depthwise(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Convolve ReLU(x) depthwise with every kernel and lay the answers one behind the other.

    Args:
        x: (N, C, H, W).
        weights: kernels of odd side k, (C, 1, k, k) each.

    Returns:
        (N, len(weights) C, H, W) at the size of ``x``, zeros assumed outside.

    Example:
        >>> x = torch.tensor([[[[-1.0, 2.0]]]])
        >>> rectified_depthwise(x, [torch.ones(1, 1, 3, 3), torch.ones(1, 1, 1, 1)])[0, :, 0].tolist()
        [[2.0, 2.0], [0.0, 2.0]]
    """
    fits = x.device.type == "cpu" and x.dtype == torch.float32 and max(w.shape[-1] for w in weights) <= 5
    if fits and _depthwise_cpu is not None and not torch.is_autocast_enabled("cpu") and not is_tracing():
        answer: Tensor = _RectifiedDepthwise.apply(x, *weights)  # type: ignore[no-untyped-call]
        return answer
    rectified = F.relu(x)
    channels = x.shape[1]
    return torch.cat([F.conv2d(rectified, w, padding=w.shape[-1] // 2, groups=channels) for w in weights], 1)


class _RectifiedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        _depthwise_cpu.match_threads(torch.get_num_threads())
        x = x.contiguous()
        channels = x.shape[1]
        out = x.new_empty(x.shape[0], len(weights) * channels, *x.shape[2:])
        for index, weight in enumerate(weights):
            _depthwise_cpu.forward(_array(x), _array(_widened(weight)), _array(out), index * channels)
        ctx.save_for_backward(x, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, *weights = ctx.saved_tensors
        channels = x.shape[1]
        to_input = torch.zeros_like(x)
        to_weights = []
        gradient = _array(gradients[0].contiguous())
        for index, weight in enumerate(weights):
            wide = _widened(weight)
            # One sum for each image, added afterwards, so that the threads share nothing.
            sums = wide.new_zeros(x.shape[0], *wide.shape)
            _depthwise_cpu.backward(_array(x), _array(wide), gradient, index * channels, _array(to_input), _array(sums))
            margin = (wide.shape[-1] - weight.shape[-1]) // 2
            to_weights.append(sums.sum(0)[:, None, :, margin : margin + weight.shape[-1]])
        return to_input, *to_weights


def _widened(weight: Tensor) -> Tensor:
    """(C, 1, k, k) -> (C, k, 5), zeros at the sides."""
    margin = (_depthwise_cpu.TAPS - weight.shape[-1]) // 2
    return F.pad(weight[:, 0], (margin, margin)).contiguous()


def _array(x: Tensor) -> Any:
    return x.detach().numpy()
