"""Data parallel training under `torchrun` or Ray Train: every process takes a share of each batch, and
gradients are summed.

One flat all-reduce a step carries the gradients, the loss and the wish to stop, so that all processes
always agree on all three. It needs nothing of the model, and works with hand-written backward passes.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int
    world: int
    local_rank: int

    @property
    def first(self) -> bool:
        """Whether this process does the talking and the writing."""
        return self.rank == 0

    def average_gradients(
        self, params: Sequence[nn.Parameter], weight: float, values: Mapping[str, float]
    ) -> dict[str, float]:
        """Replace every `.grad` by its mean over processes, each weighing `weight`; returns the values'
        means.
        """
        if self.world == 1:
            return dict(values)
        for p in params:
            if p.grad is None:  # all processes must send the same layout
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in params if p.grad is not None]
        scalars = torch.tensor([*values.values(), 1.0], device=grads[0].device)
        flat = torch.cat([*(grad.reshape(-1).float() for grad in grads), scalars]) * weight
        distributed.all_reduce(flat)
        flat /= flat[-1].item()
        *means, scalars = flat.split([*(grad.numel() for grad in grads), len(scalars)])
        for grad, mean in zip(grads, means, strict=True):
            grad.copy_(mean.view_as(grad))
        return dict(zip(values, scalars.tolist(), strict=False))

    def share_weights(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """The processes torchrun started (variables RANK, WORLD_SIZE, LOCAL_RANK), or this one alone.

    Processes that are joined already, as those of Ray Train, stay so afterwards.
    """
    if distributed.is_available() and distributed.is_initialized():
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        yield Processes(distributed.get_rank(), distributed.get_world_size(), local_rank)
        return
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(0, 1, 0)
        return
    backend = "nccl" if device.startswith("cuda") else "gloo"
    # Processes wait for the first one while it evaluates.
    distributed.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield Processes(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    finally:
        distributed.destroy_process_group()


def usable_device(device: str, processes: Processes) -> torch.device:
    """The device of that name, tried out; under torchrun "cuda" is the process's own GPU.

    Raises:
        KikiboubaError: there is no such device.
    """
    if device == "cuda" and processes.world > 1:
        device = f"cuda:{processes.local_rank}"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise KikiboubaError(
            f"device {device!r} cannot be used ({reason}); try cpu, cuda, cuda:1 or mps"
        ) from None
    return torch.device(device)
