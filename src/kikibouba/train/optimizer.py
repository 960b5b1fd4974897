"""Adam in TensorFlow's form, and the two ways MusicVAE and Sketch-RNN clip gradients."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm


class TensorFlowAdam(torch.optim.Adam):
    """Adam as TensorFlow 1 writes it: θ -= lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε).

    The paper and PyTorch add ε to √(v / (1 - β₂ᵗ)) instead. The two agree when PyTorch's ε is ε / √(1 - β₂ᵗ)
    (at step 1, 32 ε), so this is PyTorch's fused Adam with that ε at step t.

    Args:
        params: parameters, or groups of them.
        lr: learning rate; set `param_groups[i]["lr"]` before a step to follow a schedule.
        betas: decay rates of m and v.
        eps: ε.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=True)
        for group in self.param_groups:
            group.setdefault("tensorflow_eps", eps)
            group.setdefault("t", 0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update from the gradients in `.grad`."""
        for group in self.param_groups:
            group["t"] += 1
            group["eps"] = group["tensorflow_eps"] / math.sqrt(1.0 - group["betas"][1] ** group["t"])
        return super().step(closure)


def clip_global_norm(params: Iterable[nn.Parameter], max_norm: float, zero_at: float = math.inf) -> float:
    """Scale all gradients by the same factor so that their joint L2 norm is at most `max_norm`.

    Follows the original code where it departs from common practice: a norm that is NaN or not below `zero_at`
    zeroes all gradients (the optimiser still steps, on its moments alone).

    Returns:
        The norm before clipping.
    """
    grads = [p.grad for p in params if p.grad is not None]
    norm = float(get_total_norm(grads))
    for grad in grads if not max_norm >= norm else []:
        if norm < zero_at:
            grad.mul_(max_norm / norm)
        else:
            grad.zero_()
    return norm


def clip_value(params: Iterable[nn.Parameter], limit: float) -> float:
    """Clamp every element of every gradient to [-limit, limit].

    Returns:
        The global L2 norm before clipping, for the log.
    """
    grads = [p.grad for p in params if p.grad is not None]
    norm = float(get_total_norm(grads))
    for grad in grads:
        grad.clamp_(-limit, limit)
    return norm
