"""How a judged rank becomes one of several, leaves them and joins again, and where ranks meet to make a new group."""

import functools
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch.distributed as dist
from torch.distributed import distributed_c10d
from torch.utils._python_dispatch import _disable_current_modes

from tplearn.jailed.group import BACKEND
from tplearn.jailed.line import Line


def join(rank: int, size: int) -> None:
    """Make this process one of `size` ranks, where it is not: a world stays for as many cases as it fits."""
    if dist.is_initialized():
        if dist.get_world_size() == size:
            return
        dist.destroy_process_group()
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
    dist.init_process_group(BACKEND, store=dist.HashStore(), rank=rank, world_size=size)


@contextmanager
def outside() -> Iterator[None]:
    """Inside, this process is in no group, as if torchrun had just started it; at the end it is back in its world."""
    rank, size = dist.get_rank(), dist.get_world_size()
    dist.destroy_process_group()
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        join(rank, size)


@contextmanager
def joins_meet(line: Line) -> Iterator[None]:
    """Inside, `init_process_group` makes a judged group whatever backend it names, and all meet there at the judge."""
    plain = distributed_c10d.init_process_group

    @functools.wraps(plain)
    def init_process_group(*args: Any, **kwargs: Any) -> None:
        told = inspect.signature(plain).bind(*args, **kwargs).arguments
        places = {"rank": "RANK", "world_size": "WORLD_SIZE"}
        if told.get("store") is not None or any(told.get(k, -1) < 0 and v not in os.environ for k, v in places.items()):
            return plain(*args, **kwargs)  # it refuses, or the store is one of ours
        own = {k: told[k] if told.get(k, -1) >= 0 else int(os.environ[v]) for k, v in places.items()}
        plain(BACKEND, store=dist.HashStore(), **own)
        members = list(range(own["world_size"]))
        line.wait(line.post("new_group", "", members, [], detail="the world", needs=members))
        return None

    with (
        patch.object(distributed_c10d, "init_process_group", init_process_group),
        patch.object(dist, "init_process_group", init_process_group),
    ):
        yield


@contextmanager
def new_groups_meet(line: Line, rank: int) -> Iterator[None]:
    """Inside, the members of a new group meet at the judge as gloo's do in a store, and the other ranks tell of it."""
    plain = distributed_c10d._new_group_with_tag

    def new_group(ranks: list[int] | None = None, *args: Any, **kwargs: Any) -> Any:
        world = range(dist.get_world_size())
        members = sorted(world if ranks is None else ranks)
        come = members if kwargs.get("use_local_synchronization") else world
        if rank in come:
            needs = members if rank in members else []
            line.wait(line.post("new_group", "", come, [], detail=f"ranks {members}", needs=needs))
        with _disable_current_modes():
            return plain(ranks, *args, **kwargs)

    with patch.object(distributed_c10d, "_new_group_with_tag", new_group):
        yield
