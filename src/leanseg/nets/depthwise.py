"""Depthwise convolutions of one rectified input, several kernels at once: compiled for the CPU, plain elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
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
        x = x.contiguous()
        channels = x.shape[1]
        out = x.new_empty(x.shape[0], len(weights) * channels, *x.shape[2:])
        for index, weight in enumerate(weights):
            arrays = _array(x), _array(_widened(weight)), _array(out)
            _share(x.shape[0] * channels, partial(_depthwise_cpu.forward, *arrays, index * channels))
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
            arrays = _array(x), _array(wide), gradient, index * channels, _array(to_input), _array(sums)
            _share(x.shape[0] * channels, partial(_depthwise_cpu.backward, *arrays))
            margin = (wide.shape[-1] - weight.shape[-1]) // 2
            to_weights.append(sums.sum(0)[:, None, :, margin : margin + weight.shape[-1]])
        return to_input, *to_weights


def _share(planes: int, work: Callable[[int, int], None]) -> None:
    """Run ``work(start, stop)`` on equal parts of the planes, as many at once as torch has threads."""
    threads = min(torch.get_num_threads(), planes)
    first, *others = pairwise(planes * part // threads for part in range(threads + 1))
    running = [_pool(threads).submit(work, *part) for part in others]
    work(*first)
    for part in running:
        part.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="depthwise")


def _widened(weight: Tensor) -> Tensor:
    """(C, 1, k, k) -> (C, k, 5), zeros at the sides."""
    margin = (_depthwise_cpu.TAPS - weight.shape[-1]) // 2
    return F.pad(weight[:, 0], (margin, margin)).contiguous()


def _array(x: Tensor) -> Any:
    return x.detach().numpy()
