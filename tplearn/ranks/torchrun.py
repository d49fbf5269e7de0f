"""The same run_ranks under torchrun: nothing is launched, the function runs in the group that is there."""

import atexit
import os
from collections.abc import Callable

import torch
import torch.distributed as dist

from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.run import Run
from tplearn.ranks.worker import PerRank


def run_in_group(fn: Callable, world_size: int, args: tuple, kwargs: dict, *, record: bool) -> Run:
    """Call `fn` on this rank of torchrun's group and gather every rank's value and ledger.

    The group is NCCL where each rank has its own GPU, gloo otherwise. Prints go to this process's own output,
    and nobody watches for hangs here: torchrun and the backend's timeout do.
    """
    if not dist.is_initialized():
        join_group()
    if world_size != dist.get_world_size():
        raise ValueError(
            f"world_size = {world_size} does not fit the group of {dist.get_world_size()} ranks that torchrun started; "
            f"--nproc_per_node (times the nodes) = {world_size} works"
        )
    rank = dist.get_rank()
    args = tuple(value.of(rank) if isinstance(value, PerRank) else value for value in args)
    kwargs = {key: value.of(rank) if isinstance(value, PerRank) else value for key, value in kwargs.items()}
    rows: list[Row] = []
    if record:
        keep = lambda kind, *payload: rows.append(payload[0]) if kind == "enter" else None  # noqa: E731
        with Recorder(rank, keep).watching():
            value = fn(*args, **kwargs)
    else:
        value = fn(*args, **kwargs)
    gathered: list = [None] * world_size
    dist.all_gather_object(gathered, (value, [row for row in rows if row.op != "new_group"]))
    return Run(
        values=[value for value, _ in gathered],
        output=[""] * world_size,
        ledger=Ledger([row for _, own in gathered for row in own]),
    )


def join_group(*, gpus: bool = True) -> None:
    """Join torchrun's group: NCCL where each rank has its own GPU, if `gpus` are wanted, gloo otherwise.

    And leave it at exit: a thread of gloo that is still putting a message away when the interpreter ends aborts it.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1")):
        torch.cuda.set_device(local_rank)
        dist.init_process_group("nccl", device_id=torch.device("cuda", local_rank))
    else:
        dist.init_process_group("gloo")
    atexit.register(_leave_group)


def _leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
