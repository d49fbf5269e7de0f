"""Memory that the ranks of one host share: a small message takes microseconds in it, and with gloo 0.3 ms and more.

vLLM's custom all-reduce and NCCL's LL protocol do the same on GPUs: in a short message the delay counts, not the bytes.
"""

import functools
import mmap
import os
import select
import time
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from tplearn.ranks.errors import RankDied, RankTimeout

BUFFER = 1 << 20  # bytes of a piece
HEADER = 64  # bytes before the buffers: a tag for each buffer (2 × 8), nothing (16), a token
TOKEN = slice(32, 64)  # random bytes, by which a block is known
SIZE_BITS = 24  # a tag: the number of the exchange, then in so many bits the bytes of its piece
BLOCK = HEADER + 2 * BUFFER
# A waiting rank yields its core for so long; then it naps, for a tenth of what it has waited and a millisecond at most:
# where ranks are more than cores, those that still compute need them.
YIELD_SECONDS, LONGEST_NAP = 0.0001, 0.001
LIMIT_SECONDS = 1800.0  # as gloo's own
COMBINE = {"sum": (torch.add, Tensor.add_), "max": (torch.maximum, Tensor.clamp_min_)}  # to a new tensor, in place


class SharedMemory:
    """The memory of all ranks of a group, seen from one of them.

    Each rank owns a block, which the others only read: two buffers that take turns, and a tag for each. A rank that
    has announced exchange k + 1 has read all of exchange k, so the buffers of k may be written in k + 2. x86-64 shows
    the stores of one core to all others in their order: who sees the new tag sees the data.

    blocks: one for each rank, in order. watched: a pidfd (Linux's handle of a process) for each rank.
    """

    @torch.inference_mode(False)  # what is made in inference mode cannot be written outside it
    def __init__(self, rank: int, ranks: list[int], blocks: list[mmap.mmap], watched: list[int]) -> None:
        self.rank, self.ranks, self.exchanges = rank, ranks, 0
        self.tags = [memoryview(block)[:16].cast("q") for block in blocks]
        buffers = [
            [torch.frombuffer(block, dtype=torch.uint8, offset=HEADER + k * BUFFER, count=BUFFER) for k in (0, 1)]
            for block in blocks
        ]
        self.pieces = functools.lru_cache(maxsize=64)(functools.partial(_views, buffers))
        self.rank_of_handle = dict(zip(watched, ranks, strict=True))
        self.ended = select.poll()
        for peer, handle in enumerate(watched):
            if peer != rank:
                self.ended.register(handle, select.POLLIN)
        weakref.finalize(self, lambda: [os.close(handle) for handle in watched])

    def all_reduce(self, x: Tensor, reduce_op: str) -> Tensor:
        """A new tensor: x combined over the ranks, in rank order, so all get the same bits. Halves add in float32.

        A large one goes as a reduce-scatter and an all-gather: a rank reads it twice, and not once for each rank.
        """
        if x.nbytes <= BUFFER:
            return _combine(self.exchange(x), reduce_op)
        total, ranks = x.new_empty(x.shape), len(self.ranks)
        for own, out in zip(_pieces(x, ranks), _pieces(total, ranks), strict=True):
            pieces = self.exchange(own)
            if ranks == 2 or own.numel() % ranks:
                _combine(pieces, reduce_op, out)
                continue
            part = _combine([piece.chunk(ranks)[self.rank] for piece in pieces], reduce_op)
            for whole, theirs in zip(out.chunk(ranks), self.exchange(part), strict=True):
                whole.copy_(theirs)
        return total

    def reduce_scatter(self, x: Tensor, reduce_op: str) -> Tensor:
        """[p·n, ...] → [n, ...]: on rank r part r of what all_reduce gives, to the last bit."""
        ranks = len(self.ranks)
        own = x.new_empty((x.shape[0] // ranks, *x.shape[1:]))
        width = BUFFER // x.element_size() // ranks  # numbers of each rank's part in a piece
        parts = x.contiguous().view(ranks, own.numel()).split(width, dim=1)
        for columns, out in zip(parts, own.view(-1).split(width), strict=True):
            _combine([piece[self.rank] for piece in self.exchange(columns)], reduce_op, out)
        return own

    def all_gather(self, x: Tensor) -> Tensor:
        """[...] → [p, ...]: every rank's x."""
        gathered = x.new_empty((len(self.ranks), *x.shape))
        for own, *outs in zip(_pieces(x), *map(_pieces, gathered), strict=True):
            for out, piece in zip(outs, self.exchange(own), strict=True):
                out.copy_(piece)
        return gathered

    def exchange(self, piece: Tensor) -> list[Tensor]:
        """piece: at most BUFFER bytes → every rank's piece, as views that hold until the next exchange but one.

        Raises ValueError where another rank comes with more or fewer bytes, RankDied where it has ended.
        """
        turn = self.exchanges % 2
        pieces = self.pieces(turn, piece.shape, piece.dtype)
        pieces[self.rank].copy_(piece)
        self.exchanges += 1
        tag = self.exchanges << SIZE_BITS | piece.nbytes
        self.tags[self.rank][turn] = tag  # last: it says that the piece is there
        for peer, tags in enumerate(self.tags):
            if tags[turn] != tag:
                self._wait_for(peer, turn, piece.nbytes)
        return pieces

    def _wait_for(self, peer: int, turn: int, size: int) -> None:
        """Until the piece of `peer` is there, and has `size` bytes."""
        start, own, tags = time.monotonic(), self.ranks[self.rank], self.tags[peer]
        while tags[turn] >> SIZE_BITS < self.exchanges:
            waited = time.monotonic() - start
            if waited < YIELD_SECONDS:
                os.sched_yield()
                continue
            time.sleep(min(waited / 10, LONGEST_NAP))
            ended = self.ended.poll(0)
            if ended and tags[turn] >> SIZE_BITS < self.exchanges:
                rank = self.rank_of_handle[ended[0][0]]
                raise RankDied(f"rank {rank} ended while rank {own} waited in a collective.")
            if waited > LIMIT_SECONDS:
                raise RankTimeout(f"rank {own} waited {LIMIT_SECONDS:.0f} s in a collective.")
        theirs = tags[turn] % (1 << SIZE_BITS)
        if theirs != size:
            raise ValueError(
                f"rank {own} exchanges {size} bytes and rank {self.ranks[peer]} {theirs}; "
                "the same shape and dtype on every rank works"
            )


@torch.inference_mode(False)
def _views(buffers: list[list[Tensor]], turn: int, shape: torch.Size, dtype: torch.dtype) -> list[Tensor]:
    """The beginning of each rank's buffer as a tensor."""
    return [of_rank[turn][: shape.numel() * dtype.itemsize].view(dtype).view(shape) for of_rank in buffers]


def _pieces(x: Tensor, ranks: int = 1) -> Sequence[Tensor]:
    """x, where it fits a buffer; else flat and in pieces that do, of which all but the last divide by the ranks."""
    return (x,) if x.nbytes <= BUFFER else x.contiguous().view(-1).split(BUFFER // x.element_size() // ranks * ranks)


def _combine(pieces: list[Tensor], reduce_op: str, out: Tensor | None = None) -> Tensor:
    """The pieces of two ranks or more, one after the other, into `out` or a new tensor; halves in float32."""
    dtype = pieces[0].dtype
    if dtype.is_floating_point and dtype.itemsize < 4:
        total = _combine([piece.float() for piece in pieces], reduce_op)
        return total.to(dtype) if out is None else out.copy_(total)
    combine, combine_in_place = COMBINE[reduce_op]
    first, second, *others = pieces
    total = combine(first, second, out=out)
    for other in others:
        combine_in_place(total, other)
    return total
