"""Which way a message takes: memory that the ranks share where they stand on one host, else the group's backend."""

import mmap
import os
import platform
import secrets
import sys
import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.parallel.place import Place
from tplearn.parallel.shared_memory import BLOCK, BUFFER, TOKEN, SharedMemory
from tplearn.ranks.ops import Call
from tplearn.ranks.recorder import exchange, is_recorded

REDUCE_OPS = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}
# The names since torch 2.13, which warns of the former ones.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
LIMIT = 1 << 27  # bytes that the ranks of a host read together; beyond, gloo's ring reads less


class Agreement:
    """How the ranks of a group come to share memory, without a message of their own.

    An all-reduce, all-gather or reduce-scatter ends on no rank before all have begun it. So what each rank has written
    into the group's store before one can be read after it. First each says where its block is, then whether it could
    map the blocks of all; the third collective finds a yes from everybody, or stays with the group's backend for good.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.store, self.backend = group.get_group_store(), dist.get_backend(group)
        self.rank, self.ranks = dist.get_rank(group), dist.get_process_group_ranks(group)
        self.memory: SharedMemory | None = None  # from when all have agreed on it
        self.mapped: SharedMemory | None = None
        self.file = -1
        on_gloo = "cpu:gloo" in dist.get_backend_config(group)  # another backend's store may join nobody
        self.steps: list[Callable[[], None]] = [self._offer, self._map, self._decide] if on_gloo else []

    def advance(self) -> None:
        """Called before each collective that could use the memory, until no step is left."""
        self.steps.pop(0)()

    def _offer(self) -> None:
        """Make this rank's block: nameless memory, which the system frees with the last process that has it open."""
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            return self._say("offer", f"no - {sys.platform} on {platform.machine()} is not Linux on x86-64")
        token = secrets.token_bytes(TOKEN.stop - TOKEN.start)
        self.file = os.memfd_create("tplearn")
        os.ftruncate(self.file, BLOCK)
        os.pwrite(self.file, token, TOKEN.start)
        self._say("offer", f"{os.getpid()} {self.file} {token.hex()}")

    def _map(self) -> None:
        blocks, handles = [], []
        try:
            for rank in range(len(self.ranks)):
                block, handle = _open_block(self._said("offer", rank))
                blocks.append(block)
                handles.append(handle)
        except (OSError, ValueError) as error:
            ours, theirs = self.ranks[self.rank], self.ranks[rank]
            return self._say("map", f"rank {ours} cannot use the memory of rank {theirs}: {error}")
        self.mapped = SharedMemory(self.rank, self.ranks, blocks, handles)
        self._say("map", "")

    def _decide(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        refused = next(filter(None, (self._said("map", rank) for rank in range(len(self.ranks)))), None)
        self.memory, self.mapped = None if refused else self.mapped, None
        if refused and self.rank == 0:
            warnings.warn(f"Small messages travel by {self.backend}: {refused}", stacklevel=2)

    def _say(self, key: str, text: str) -> None:
        self.store.set(f"tplearn/{key}/{self.rank}", text)

    def _said(self, key: str, rank: int) -> str:
        return self.store.get(f"tplearn/{key}/{rank}").decode()


def _open_block(offer: str) -> tuple[mmap.mmap, int]:
    """The block of another process and a pidfd of it. Raises OSError where it cannot be reached or is not the block."""
    process, file, token = offer.split(maxsplit=2)
    if process == "no":
        raise OSError(token)
    opened = os.open(f"/proc/{process}/fd/{file}", os.O_RDWR)
    try:
        block = mmap.mmap(opened, BLOCK)
    finally:
        os.close(opened)
    if block[TOKEN].hex() != token:
        raise OSError(f"process {process} is another one here")
    return block, os.pidfd_open(int(process))


_agreements: WeakKeyDictionary[dist.ProcessGroup, Agreement] = WeakKeyDictionary()  # for as long as a group lives


def _memory(x: Tensor, read: int, place: Place) -> SharedMemory | None:
    """The memory that carries x, where there is one; each rank reads `read` bytes.

    Every rank answers alike: it depends on x's kind and size only.
    """
    group = place.group or dist.group.WORLD
    agreement = _agreements.get(group)
    if agreement is None:
        agreement = _agreements[group] = Agreement(group)
    if not x.is_cpu or x.dtype == torch.bool or read * place.world_size > LIMIT:
        return None
    if agreement.steps:
        agreement.advance()
    return agreement.memory


def carry_all_reduce(x: Tensor, reduce_op: str, place: Place) -> Tensor:
    """A new tensor: x combined over the ranks, "sum" or "max"."""
    memory = _memory(x, x.nbytes * (place.world_size if x.nbytes <= BUFFER else 2), place)
    if memory is None:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, op=REDUCE_OPS[reduce_op], group=place.group)
        return total
    return _shown("all_reduce", x, place, lambda: memory.all_reduce(x, reduce_op), reduce_op)


def carry_all_gather(x: Tensor, place: Place) -> Tensor:
    """A new tensor, [p, ...]: every rank's x."""
    memory = _memory(x, x.nbytes * place.world_size, place)
    if memory is None:
        gathered = x.new_empty((place.world_size, *x.shape))
        _all_gather(gathered.flatten(0, 1), x.contiguous(), group=place.group)
        return gathered
    return _shown("all_gather", x, place, lambda: memory.all_gather(x))


def carry_reduce_scatter(x: Tensor, place: Place) -> Tensor:
    """A new tensor, [p·n, ...] → [n, ...]: this rank's shard of the sum over the ranks."""
    memory = _memory(x, x.nbytes, place)
    if memory is None:
        own = x.new_empty((x.shape[0] // place.world_size, *x.shape[1:]))
        _reduce_scatter(own, x, group=place.group)
        return own
    return _shown("reduce_scatter", x, place, lambda: memory.reduce_scatter(x, "sum"), "sum")


def carry_shift(x: Tensor, place: Place) -> Tensor:
    """A new tensor: the x of the rank before this one in a ring. Always by the group's backend, as send and recv."""
    came = torch.empty_like(x, memory_format=torch.contiguous_format)
    to, from_ = ((place.rank + step) % place.world_size for step in (1, -1))
    ops = [
        dist.P2POp(dist.isend, x.contiguous(), group=place.group, group_peer=to),
        dist.P2POp(dist.irecv, came, group=place.group, group_peer=from_),
    ]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    return came


def _shown(op: str, x: Tensor, place: Place, run: Callable[[], Tensor], reduce_op: str | None = None) -> Tensor:
    """Run a collective in the memory; a recorder and torch's profiler, which see torch's own, are shown it."""
    if torch.autograd._profiler_enabled():
        with torch.profiler.record_function(f"tplearn::{op}"):
            return _recorded(op, x, place, run, reduce_op)
    return _recorded(op, x, place, run, reduce_op) if is_recorded() else run()


def _recorded(op: str, x: Tensor, place: Place, run: Callable[[], Tensor], reduce_op: str | None) -> Tensor:
    group = place.group or dist.group.WORLD
    ranks = tuple(dist.get_process_group_ranks(group))
    call = Call(op, group, ranks, tensors=[x], brought=[], reduce_op=reduce_op and reduce_op.upper())
    return exchange(call, "shared memory", run)
