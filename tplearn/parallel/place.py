"""Where a layer stands: the group it is cut over, this process's rank in it, and the checks that need to know."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """This process's `rank` in a group of `world_size` ranks. One rank and no group where nothing is distributed."""

    rank: int = 0
    world_size: int = 1
    group: dist.ProcessGroup | None = None

    @staticmethod
    def of(group: "Group" = None) -> "Place":
        """The place in `group`; None is the default group, and one rank alone where none is initialised.

        A place is its own answer: a layer looks its group up once, not in every collective.
        Raises ValueError where this process is not in the group: `new_group` gives non-members a mere number.
        """
        if isinstance(group, Place):
            return group
        if not dist.is_initialized():
            if group is not None:
                raise ValueError(f"group = {group!r}, but torch.distributed is not initialised; group = None works")
            return Place()
        rank = dist.get_rank(group)
        if rank < 0:
            raise ValueError(
                f"rank {dist.get_rank()} is not in the given group and cannot hold a shard of it; "
                "a group that contains this rank works"
            )
        return Place(rank, dist.get_world_size(group), group)

    def __deepcopy__(self, memo: dict) -> "Place":
        """The same place: a copied layer talks to the same group, and a process group cannot be copied."""
        return self


Group = dist.ProcessGroup | Place | None


def require_input(x: Tensor, features: int, weight: Tensor, layer: str) -> None:
    """Raises ValueError where `x` is not [..., features] of the weight's dtype (autocast may change the dtype)."""
    if x.ndim == 0 or x.shape[-1] != features:
        raise ValueError(f"{layer}: input of shape {tuple(x.shape)}; shapes that work: [..., {features}]")
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{layer}: input of dtype {x.dtype}, weight of dtype {weight.dtype}; {weight.dtype} works")
