"""x W, for a matrix W that many x are multiplied by.

A CPU multiplies fastest by a matrix that lies in memory in the order in which it is read. oneDNN, which comes
with PyTorch, brings a matrix into such an order once ("packing"); multiplying 32 to 512 rows by it then takes
0.5 to 0.8 times as long as `torch.mm`, and multiplying 2 to 8 rows a quarter as long. Packing costs as much
as some ten products of a few rows.

One row is best multiplied by the matrix as it is, which is read once and then done with; but `torch.mm` does
that on one core. A batch of products with a quarter of the columns each gives work to four.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = 4


class Factor:
    """A matrix W made ready for many products x W, without gradient.

    Args:
        w: W [K, N]. Whether changes made to it later are seen is not defined.
        rows: B, about how many rows each x will have; if 1, then exactly.
        dtype: of the products; W's own by default. float16 means that W is stored so: single rows are then
            multiplied in float16 (with sums in float32), several rows in float32.
    """

    def __init__(self, w: Tensor, rows: int, dtype: torch.dtype | None = None) -> None:
        self.dtype = w.dtype if dtype is None else dtype
        if rows > 1 and self.dtype == torch.float16:
            self.dtype = torch.float32
        self.w = w.to(self.dtype)
        self.is_packed = rows > 1 and _can_pack(self.w)
        self.is_split = rows == 1 and _can_split(self.w)
        if self.is_packed:
            self.w = torch.ops.mkldnn._reorder_linear_weight(self.w.t(), rows)
        if self.is_split:
            self.w = self.w.unflatten(1, (BLOCKS, -1)).transpose(0, 1)

    def product(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """x W [B, N] in the type of the products; with `plus` [B, N] added, in that one's type."""
        x = x.to(self.dtype)
        if plus is not None and plus.dtype == self.dtype:
            if self.is_packed:
                return torch.ops.mkldnn._linear_pointwise.binary(x, plus, self.w, None, "add")
            if self.is_split:
                return torch.baddbmm(plus.view(BLOCKS, 1, -1), x.expand(BLOCKS, -1, -1), self.w).view(1, -1)
            return torch.addmm(plus, x, self.w)
        if self.is_packed:
            xw = torch.ops.mkldnn._linear_pointwise(x, self.w, None, "none", [], "")
        elif self.is_split:
            xw = torch.bmm(x.expand(BLOCKS, -1, -1), self.w).view(1, -1)
        else:
            xw = F.linear(x, self.w.t())
        return xw if plus is None else plus + xw

    def add_product(self, total: Tensor, x: Tensor) -> Tensor:
        """total += x W in place; returns it."""
        if self.is_packed or self.is_split or total.dtype != self.dtype:
            return total.add_(self.product(x))
        return total.addmm_(x, self.w)


def _can_pack(w: Tensor) -> bool:
    """Whether oneDNN multiplies by such a matrix on this machine."""
    if w.device.type != "cpu" or not torch.backends.mkldnn.is_available() or w.numel() == 0:
        return False
    return w.dtype == torch.float32 or (
        w.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _can_split(w: Tensor) -> bool:
    """Whether there are several cores for the columns of w."""
    several = w.device.type == "cpu" and torch.get_num_threads() > 1
    return several and w.dtype == torch.float32 and w.shape[1] % BLOCKS == 0 and w.numel() > 0
