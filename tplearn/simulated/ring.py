"""A ring of simulated ranks: each sends to the next only, every byte is counted, and that is enough for all-reduce."""

from collections import deque
from collections.abc import Iterable

import torch
from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.simulated.per_rank import require_alike, require_ledger
from tplearn.sizes import require_divisible, require_rank, require_size, shown
from tplearn.tensors import require_summable, require_tensor


class Ring:
    """Wires from rank r to rank (r + 1) mod world_size, and a ledger of what went over them.

    A wire is a queue: `recv` takes what was sent first. `send` copies, because two machines share no memory.
    step = -1: the wires run the other way, from rank r to rank (r − 1) mod world_size.
    """

    def __init__(self, world_size: int, ledger: Ledger | None = None, step: int = 1) -> None:
        self.world_size = require_size("world_size", world_size, noun="a number of ranks")
        if step not in (1, -1):
            raise ValueError(f"step = {shown(step)} does not lead to a neighbour; steps that work: 1 and -1")
        require_ledger(ledger)
        self.step = step
        self.ledger = Ledger() if ledger is None else ledger
        self._wires: list[deque[Tensor]] = [deque() for _ in range(world_size)]  # _wires[r]: from r to r + step

    @property
    def in_flight(self) -> int:
        """How many tensors were sent and not yet received. After a finished algorithm: 0."""
        return sum(map(len, self._wires))

    def send(self, src: int, dst: int, tensor: Tensor) -> None:
        """Put a copy of `tensor` on the wire from `src` to its neighbour `dst`. ValueError for any other pair."""
        self._require_neighbours("send", src, dst)
        require_tensor("tensor", tensor)
        self._wires[src].append(tensor.clone())
        self.ledger.record(src, "send", tensor, group=self._group, peer=dst)

    def recv(self, src: int, dst: int) -> Tensor:
        """Take what `src` sent first to `dst` and `dst` has not yet taken. ValueError when there is nothing."""
        self._require_neighbours("recv", src, dst)
        if not self._wires[src]:
            raise ValueError(f"recv from rank {src} to rank {dst}: nothing was sent; send before you receive")
        tensor = self._wires[src].popleft()
        self.ledger.record(dst, "recv", tensor, group=self._group, peer=src)
        return self.ledger.deliver([tensor])[0]

    @property
    def _group(self) -> tuple[int, ...]:
        return tuple(range(self.world_size))

    def _require_neighbours(self, op: str, src: int, dst: int) -> None:
        require_rank("src", src, self.world_size)
        require_rank("dst", dst, self.world_size)
        neighbour = (src + self.step) % self.world_size
        if self.world_size == 1:
            raise ValueError(f"{op} from rank {src} to rank {dst}: a ring of 1 rank has no wires")
        if dst != neighbour:
            raise ValueError(
                f"{op} from rank {src} to rank {dst}: no such wire; in a ring of {self.world_size}, "
                f"rank {src} sends to rank {neighbour} only"
            )


def ring_reduce_scatter(tensors: Iterable[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors [n] → p tensors [n / p]: rank r ends with chunk r of the sum, after p − 1 steps of n / p numbers each.

    At step s rank r sends its running sum of chunk (r − s − 1) mod p and adds what arrives to chunk (r − s − 2) mod p.
    Bytes sent by each rank: (p − 1) / p · n · element size.
    """
    tensors = _require_flat("ring_reduce_scatter", tensors, ring)
    p = ring.world_size
    require_summable("ring_reduce_scatter: tensors[0]", tensors[0])
    require_divisible("length", len(tensors[0]), p)
    chunks = [_chunks(tensor, p) for tensor in tensors]  # chunks[rank][index]: [n / p], this rank's running sum
    for step in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, chunks[rank][(rank - step - 1) % p])
        for rank in range(p):
            index = (rank - step - 2) % p
            chunks[rank][index] = chunks[rank][index] + ring.recv((rank - 1) % p, rank)
    return [chunks[rank][rank].clone() for rank in range(p)]


def ring_all_gather(chunks: Iterable[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors [m], chunk r on rank r → p equal tensors [p · m], after p − 1 steps: pass on what arrived last.

    At step s rank r sends chunk (r − s) mod p and receives chunk (r − s − 1) mod p.
    Bytes sent by each rank: (p − 1) · m · element size.
    """
    chunks = _require_flat("ring_all_gather", chunks, ring)
    p = ring.world_size
    held = [{rank: chunk} for rank, chunk in enumerate(chunks)]  # held[rank][index]: the chunks that this rank has
    for step in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, held[rank][(rank - step) % p])
        for rank in range(p):
            held[rank][(rank - step - 1) % p] = ring.recv((rank - 1) % p, rank)
    return [torch.cat([held[rank][index] for index in range(p)]) for rank in range(p)]


def ring_all_reduce(tensors: Iterable[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors [n] → p equal tensors [n], the sum: reduce-scatter, then all-gather.

    Bytes sent by each rank: 2 (p − 1) / p · n · element size (Patarasuk and Yuan 2009; the same count in NCCL's tests).
    """
    return ring_all_gather(ring_reduce_scatter(tensors, ring), ring)


def _chunks(tensor: Tensor, p: int) -> list[Tensor]:
    return list(tensor.reshape(p, len(tensor) // p))  # [n] -> p views [n / p]; never written to


def _require_flat(op: str, tensors: Iterable[Tensor], ring: Ring) -> list[Tensor]:
    """The ranks' tensors as a list. Raises ValueError unless each rank of the ring brings one, flat and alike."""
    if not isinstance(ring, Ring):
        raise ValueError(f"ring = {shown(ring)} is not a Ring; Ring(world_size) works")
    tensors = require_alike(op, tensors)
    if len(tensors) != ring.world_size:
        raise ValueError(
            f"{op} got {len(tensors)} tensors for a ring of {ring.world_size} ranks; give one tensor per rank"
        )
    if tensors[0].ndim != 1:
        raise ValueError(f"{op} takes flat tensors: rank 0 brings {tuple(tensors[0].shape)}; call .flatten() first")
    return tensors
