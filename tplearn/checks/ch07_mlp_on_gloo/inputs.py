"""Random inputs for layers on ranks, in float64, and the place of a rank."""

import torch.distributed as dist
from torch import Tensor

SIZES = (1, 2, 3, 4)  # the ranks that every layer is judged on: its dimensions divide by 12


def place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    return dist.get_rank(), dist.get_world_size()


def cut(tensor: Tensor, tp: int) -> list[Tensor]:
    """The columns of each rank, each as a tensor of its own."""
    return [shard.contiguous() for shard in tensor.chunk(tp, dim=-1)]
