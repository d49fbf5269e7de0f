"""Where a layer stands: the group it is cut over, and this process's rank in it."""

from dataclasses import dataclass

import torch.distributed as dist

from tplearn.sizes import require_rank, shown


@dataclass(frozen=True)
class Place:
    """This process's `rank` in a group of `world_size` ranks. One rank and no group where nothing is distributed."""

    rank: int = 0
    world_size: int = 1
    group: dist.ProcessGroup | None = None

    def __post_init__(self) -> None:
        require_rank("rank", self.rank, self.world_size)

    @staticmethod
    def of(group: "Group" = None) -> "Place":
        """The place in `group`; None is the default group, and one rank alone where none is initialised.

        A place is its own answer: a layer looks its group up once, not in every collective.
        Raises ValueError for what is no process group, and where this process is not in the group: `new_group` gives
        non-members a mere number.
        """
        if isinstance(group, Place):
            return group
        if group is not None and not isinstance(group, dist.ProcessGroup):
            _refuse(group)
        if not dist.is_initialized():
            if group is not None:
                raise ValueError(f"group = {group!r}, but torch.distributed is not initialised; group = None works")
            return Place()
        rank = dist.get_rank(group)
        if rank < 0:
            raise ValueError(_not_a_member())
        return Place(rank, dist.get_world_size(group), group)

    def __deepcopy__(self, memo: dict) -> "Place":
        """The same place: a copied layer talks to the same group, and a process group cannot be copied."""
        return self


Group = dist.ProcessGroup | Place | None


def _refuse(group: object) -> None:
    """Raises the ValueError for something in the place of a process group, with what would be one."""
    if group is dist.GroupMember.NON_GROUP_MEMBER and dist.is_initialized():
        raise ValueError(_not_a_member())
    works = "what torch.distributed.new_group returns works, or None for all ranks"
    if isinstance(group, dist.DeviceMesh):
        names = group.mesh_dim_names or range(group.ndim)
        calls = [f"mesh.get_group({name!r})" for name in names] if group.ndim > 1 else ["mesh.get_group()"]
        works = f"{' or '.join(calls)} works"
    elif isinstance(group, (list, tuple, range)):
        works = f"torch.distributed.new_group({shown(list(group))}), called on every rank, makes one of these ranks"
    raise ValueError(f"group = {shown(group)} is not a process group; {works}")


def _not_a_member() -> str:
    return (
        f"rank {dist.get_rank()} is not in the given group and cannot hold a shard of it; "
        "a group that contains this rank works"
    )
