"""NADE (Larochelle & Murray 2011): a distribution over D bits that are said one after another.

    a_0   = b_enc
    l_i   = b_dec,i + σ(a_i) · w_dec,i          the logit of bit i, given those before it
    a_i+1 = a_i + v_i w_enc,i

In the RNN-NADE (Boulanger-Lewandowski et al. 2012) b_enc and b_dec come from an LSTM, anew at every step.

Training saves one a, not D of them: going backwards, a_i = a_i+1 - v_i w_enc,i.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class NADE(nn.Module):
    """The weights w_enc and w_dec, both [D, H].

    Initial values follow the original code: a normal distribution of standard deviation 1/√D, cut at two of
    them.

    Args:
        bits: D.
        hidden_size: H, the width of a.
    """

    def __init__(self, bits: int, hidden_size: int) -> None:
        super().__init__()
        self.bits, self.hidden_size = bits, hidden_size
        self.w_enc = nn.Parameter(torch.empty(bits, hidden_size))
        self.w_dec = nn.Parameter(torch.empty(bits, hidden_size))
        std = 1 / math.sqrt(bits)
        for weight in (self.w_enc, self.w_dec):
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)

    def forward(self, v: Tensor, b_enc: Tensor, b_dec: Tensor) -> Tensor:
        """Logits [N, D] of all bits, each given the bits before it.

        Args:
            v: [N, D] the bits, 0 or 1, in the type of b_enc.
            b_enc: [N, H]
            b_dec: [N, D]
        """
        return b_dec + _HiddenLogits.apply(v, b_enc, self.w_enc, self.w_dec)

    @torch.no_grad()
    def sample(self, b_enc: Tensor, b_dec: Tensor, noise: Tensor | None = None) -> Tensor:
        """Bits [N, D] (0 or 1), one after another: 1 where the logit, plus noise [N, D], is positive.

        Logistic noise makes it a draw; without noise each bit is the likelier one, given those before it.
        """
        a, bits = b_enc.clone(), torch.empty_like(b_dec)
        for i in range(self.bits):
            logit = b_dec[:, i] + torch.sigmoid(a) @ self.w_dec[i]
            bits[:, i] = (logit if noise is None else logit + noise[:, i]) > 0
            a.addcmul_(bits[:, i, None], self.w_enc[i])
        return bits


def log_prob(logits: Tensor, v: Tensor) -> Tensor:
    """ln p(v) of bits given their logits, summed over the last axis. With p = σ(logit) this is
    v ln(10⁻⁶ + p) + (1 - v) ln(10⁻⁶ + 1 - p), the bounded form of the original code.
    """
    p = torch.sigmoid(logits)
    return (v * (1e-6 + p).log() + (1 - v) * (1e-6 + 1 - p).log()).sum(-1)


class _HiddenLogits(torch.autograd.Function):
    """(v, b_enc, w_enc, w_dec) → σ(a_i) · w_dec,i [N, D]; see the module's text."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, b_enc: Tensor, w_enc: Tensor, w_dec: Tensor) -> Tensor:  # type: ignore[override]
        a, logits = b_enc.clone(), torch.empty_like(v)
        for i in range(len(w_enc)):
            torch.mv(torch.sigmoid(a), w_dec[i], out=logits[:, i])
            a.addcmul_(v[:, i, None], w_enc[i])
        ctx.save_for_backward(v, a, w_enc, w_dec)
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_logits: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        v, a, w_enc, w_dec = ctx.saved_tensors
        a, da = a.clone(), torch.zeros_like(a)
        dw_enc, dw_dec = torch.empty_like(w_enc), torch.empty_like(w_dec)
        for i in reversed(range(len(w_enc))):
            a.addcmul_(v[:, i, None], w_enc[i], value=-1)
            dw_enc[i] = v[:, i] @ da
            s = torch.sigmoid(a)
            dw_dec[i] = d_logits[:, i] @ s
            da += torch.ops.aten.sigmoid_backward(F.linear(d_logits[:, i, None], w_dec[i, :, None]), s)
        return None, da, dw_enc, dw_dec
