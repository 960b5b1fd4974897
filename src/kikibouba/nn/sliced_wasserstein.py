"""Sliced Wasserstein distance: compare two clouds of points by the shadows they cast on random lines.

On a line the optimal transport between two equal-sized samples pairs them in sorted order, so the distance
costs a sort and gradients flow through it to every point.
"""

import torch
from torch import Tensor


def random_directions(
    size: int,
    count: int,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """`count` independent directions, uniform on the unit sphere of R^size. [size, count]"""
    directions = torch.randn(size, count, generator=generator, device=device)
    return directions / directions.norm(dim=0)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Mean over directions of the 1-D Wasserstein-1 distance between two samples of equal size.

    Args:
        a, b: [B, D], unordered points.
        directions: [D, P], unit columns.

    Returns: scalar >= 0, in the units of the points; 0 when b is a permutation of a.
    """
    with torch.autocast(a.device.type, enabled=False):  # neighbouring shadows differ by too little for bf16
        shadow_a, shadow_b = (
            (directions.T @ cloud.to(directions.dtype).T).sort(dim=-1).values for cloud in (a, b)
        )
        return (shadow_a - shadow_b).abs().mean()
