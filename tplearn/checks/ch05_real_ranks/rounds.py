"""The two rounds of a ring in a group, with the knobs that mutants turn."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

Pass = Callable[[Tensor, ProcessGroup | None], Tensor]


def pass_right(x: Tensor, group: ProcessGroup | None) -> Tensor:
    """Send x to the right neighbour in the group and return what the left one has sent."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    return exchanged(x, {"group_dst": (rank + 1) % p}, {"group_src": (rank - 1) % p}, group)


def exchanged(x: Tensor, to: dict[str, int], from_: dict[str, int], group: ProcessGroup | None) -> Tensor:
    """Send x and receive what has its shape, both at once."""
    arrived = torch.empty_like(x)
    works = [dist.isend(x, group=group, **to), dist.irecv(arrived, group=group, **from_)]
    for work in works:
        work.wait()
    return arrived


def chunks_of(x: Tensor, group: ProcessGroup | None) -> list[Tensor]:
    """x: any shape → p views [n / p]."""
    return list(x.reshape(dist.get_world_size(group), -1))


def put_together(chunks: list[Tensor], like: Tensor) -> Tensor:
    """p chunks → a tensor of x's shape."""
    return torch.cat(chunks).reshape(like.shape)


def add_round(
    chunks: list[Tensor],
    group: ProcessGroup | None,
    steps: int | None = None,
    shift: int = -2,
    pass_on: Pass = pass_right,
) -> None:
    """p − 1 (or `steps`) steps: chunk r − 1 − s goes out, what arrives is added to chunk r + shift − s."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    for step in range(p - 1 if steps is None else steps):
        arrived = pass_on(chunks[(rank - step - 1) % p], group)
        chunks[(rank - step + shift) % p] = chunks[(rank - step + shift) % p] + arrived


def gather_round(chunks: list[Tensor], group: ProcessGroup | None, pass_on: Pass = pass_right) -> None:
    """p − 1 steps: chunk r − s goes out, chunk r − 1 − s arrives."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    for step in range(p - 1):
        chunks[(rank - step - 1) % p] = pass_on(chunks[(rank - step) % p], group)
