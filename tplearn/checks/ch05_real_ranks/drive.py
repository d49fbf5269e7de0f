"""How chapter 05's exercises are run on a rank: in a group of several, or as a program that nobody has put in a group.

This file and what it imports know no reference and no mutant.
"""

import contextlib
import inspect
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import _get_default_store

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.observe import forward
from tplearn.jailed.group import BACKEND
from tplearn.jailed.world import outside as judged_outside


class SameRankTwice(ValueError):
    """Two processes want to join as one rank: nobody will get in."""


@dataclass(frozen=True)
class InGroup:
    """An observer that calls fn(x, group), where group is this rank's own of `groups`."""

    def __call__(self, fn: Callable[..., Any], x: Tensor, groups: Groups) -> dict[str, Any]:
        """What `forward` sees; the group is no input that could be changed."""
        group = own_group(groups)
        return forward(lambda x: fn(x, group), x)

    @staticmethod
    def arguments(x: Any, groups: Groups) -> dict[str, Any]:
        """What the answer is called with, for an explanation."""
        return {"x": x}


def as_torchrun_does(fn: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """What `forward` sees of fn in a process that is in no group yet, with the variables that torchrun sets.

    "still in the group": fn has returned and not left. LOCAL_RANK is that of two machines, so it is not RANK.
    """
    with _outside() as variables, patch.dict(os.environ, variables):
        with _numbered_by_the_world():
            seen = forward(fn, *args)
        if dist.is_initialized():
            seen["left"] = (
                "the function returned while its process was still in the group. A program leaves it at the end: "
                "dist.destroy_process_group()."
            )
    return seen


@contextlib.contextmanager
def _numbered_by_the_world() -> Iterator[None]:
    """A rank that joins as its LOCAL_RANK is told so: two would have one number, and all would wait."""
    joining = inspect.unwrap(dist.init_process_group).__code__

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is joining:
            rank, here, local = (str(x) for x in (frame.f_locals["rank"], os.environ["RANK"], os.environ["LOCAL_RANK"]))
            if rank == local != here:
                raise SameRankTwice(
                    f"rank = {local} is this process's LOCAL_RANK, its number on its machine; its RANK, the number in "
                    f"the world, is {here}. Another process has RANK {local}: two of them make no group"
                )

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)


@contextlib.contextmanager
def _outside() -> Iterator[dict[str, str]]:
    """Leaves the default group of the run, and is back in one like it at the end; gives torchrun's variables."""
    rank, p = dist.get_rank(), dist.get_world_size()
    on_a_machine = (p + 1) // 2
    with judged_outside() if dist.get_backend() == BACKEND else _left() as more:
        yield {
            "RANK": str(rank),
            "WORLD_SIZE": str(p),
            "LOCAL_RANK": str(rank % on_a_machine),
            "LOCAL_WORLD_SIZE": str(on_a_machine),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29500",
            **(more or {}),
        }


@contextlib.contextmanager
def _left() -> Iterator[dict[str, str]]:
    """Out of a group of gloo; gives what more ranks need to join again.

    As under torchrun the meeting point is there already, and the ranks come to it: no port is taken twice. Who leaves a
    group while others still join it breaks their connections. So all meet after each joining; for the answer, which may
    leave at once, torch's own barrier sees to that.
    """
    rank, p, store = dist.get_rank(), dist.get_world_size(), _get_default_store()
    turn = store.add(f"turns of rank {rank}", 1)  # the same number on every rank
    if rank == 0:
        meeting = _open_store()
        store.set(f"port {turn}", str(meeting.port))
    port = store.get(f"port {turn}").decode()
    _meet(store, f"before turn {turn}", p)
    dist.destroy_process_group()
    gone = False
    try:
        yield {
            "MASTER_PORT": port,
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RESTART_COUNT": "0",
            "TORCH_DIST_INIT_BARRIER": "1",
        }
    except SameRankTwice:
        gone = True  # the others wait for this rank, and not in the group of the run
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        if not gone:
            dist.init_process_group("gloo", store=dist.PrefixStore(f"turn {turn}", store), rank=rank, world_size=p)
            _meet(store, f"after turn {turn}", p)


def _meet(store: dist.Store, where: str, ranks: int) -> None:
    """Returns when so many ranks have called it."""
    if store.add(where, 1) == ranks:
        store.set(f"all {where}", "")
    store.wait([f"all {where}"])


def _open_store() -> dist.TCPStore:
    """A store at a free port of 127.0.0.1.

    On a socket of our own: on torch's, of IPv6, the store asks the name server who 127.0.0.1 is, and may wait for it.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    return dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())
