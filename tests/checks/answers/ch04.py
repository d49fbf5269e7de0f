"""Chapter 04: lazy answers, right ones written in other ways, and the sums and joins of whole tensors."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tplearn import simulated
from tplearn.checks import Case
from tplearn.simulated import Ledger, Partial, Replicate, Ring, Shard, unshard

State = Replicate | Shard | Partial
Rings = Callable[[list[Tensor], Ring], list[Tensor]]


def left(ring: Ring, rank: int) -> int:
    return (rank - 1) % ring.world_size


def scatter_round(tensors: list[Tensor], ring: Ring, cut: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
    """Reduce-scatter to the left, with chunks cut in any way."""
    p = ring.world_size
    running = [cut(tensor) for tensor in tensors]
    for step in range(1, p):
        for rank in range(p):
            ring.send(rank, left(ring, rank), running[rank][(rank + step) % p])
        for rank in range(p):
            k = (rank + step + 1) % p
            running[rank][k] = ring.recv((rank + 1) % p, rank) + running[rank][k]
    return [running[rank][rank] for rank in range(p)]


def scatter_by_chunk(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return scatter_round(tensors, ring, lambda tensor: list(tensor.chunk(ring.world_size)))


def scatter_by_unflatten(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return scatter_round(tensors, ring, lambda tensor: list(tensor.unflatten(0, (ring.world_size, -1))))


def scatter_chunk_by_chunk(tensors: list[Tensor], ring: Ring) -> tuple[Tensor, ...]:
    """One chunk after the other travels to its rank: the same messages in another order."""
    p = ring.world_size
    sums = []
    for home in range(p):
        travelling = None
        for rank in ((home - 1 - k) % p for k in range(p)):  # from its left neighbour round to itself
            own = tensors[rank].tensor_split(p)[home]
            travelling = own if travelling is None else own + travelling
            if rank != home:
                ring.send(rank, left(ring, rank), travelling)
                travelling = ring.recv(rank, left(ring, rank))
        sums.append(travelling)
    return tuple(sums)


def scatter_in_halves(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Each message in two: the bytes are the budget, not the number of messages."""

    class Halving:
        world_size = ring.world_size

        def send(self, src: int, dst: int, tensor: Tensor) -> None:
            for half in tensor.tensor_split(2):
                ring.send(src, dst, half)

        def recv(self, src: int, dst: int) -> Tensor:
            return torch.cat([ring.recv(src, dst), ring.recv(src, dst)])

    return scatter_by_chunk(tensors, Halving())


def scatter_summed_here(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return list(sum(tensors).chunk(len(tensors)))


def scatter_with_decoys(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    for _ in range(p - 1):
        for rank in range(p):
            ring.send(rank, left(ring, rank), tensors[rank][: len(tensors[rank]) // p])
        for rank in range(p):
            ring.recv((rank + 1) % p, rank)
    return list(sum(tensors).chunk(p))


def rows_by_hand(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    for rank in range(p):
        for _ in range(p - 1):
            ring.ledger.record(rank, "send", tensors[rank][: len(tensors[rank]) // p], group=tuple(range(p)), peer=0)
    return list(sum(tensors).chunk(p))


def on_a_ring_of_its_own(rings: Rings) -> Rings:
    return lambda tensors, ring: rings(tensors, Ring(len(tensors), step=-1))


def scatter_for_two(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Right on one and two ranks: a single exchange of halves."""
    p = ring.world_size
    if p == 1:
        return [tensors[0].clone()]
    for rank in range(p):
        ring.send(rank, left(ring, rank), tensors[rank].chunk(p)[(rank + 1) % p])
    return [tensors[rank].chunk(p)[rank] + ring.recv((rank + 1) % p, rank) for rank in range(p)]


def scatter_at_the_neighbour(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Rank r + 1 adds up all other ranks' chunk r, which it cannot know, and sends it home."""
    p = ring.world_size
    if p == 1:
        return [tensors[0].clone()]
    cut = [tensor.chunk(p) for tensor in tensors]
    for home in range(p):
        ring.send((home + 1) % p, home, sum(cut[rank][home] for rank in range(p) if rank != home))
    return [cut[rank][rank] + ring.recv((rank + 1) % p, rank) for rank in range(p)]


def gather_round(chunks: list[Tensor], ring: Ring) -> list[list[Tensor]]:
    p = ring.world_size
    held: list[list[Tensor]] = [[chunk] for chunk in chunks]  # held[r][k]: chunk r + k
    for _ in range(p - 1):
        for rank in range(p):
            ring.send(rank, left(ring, rank), held[rank][-1])
        for rank in range(p):
            held[rank].append(ring.recv((rank + 1) % p, rank))
    return held


def gather_by_rolling(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    return [torch.cat([mine[(k - rank) % p] for k in range(p)]) for rank, mine in enumerate(gather_round(chunks, ring))]


def gather_chunk_by_chunk(chunks: list[Tensor], ring: Ring) -> tuple[Tensor, ...]:
    p = ring.world_size
    places: list[list[Tensor]] = [[chunk] * p for chunk in chunks]
    for home in range(p):
        for k in range(p - 1):
            rank = (home - k) % p
            ring.send(rank, left(ring, rank), places[rank][home])
            places[left(ring, rank)][home] = ring.recv(rank, left(ring, rank))
    return tuple(torch.cat(place) for place in places)


def gather_into_slices(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    ends = torch.tensor([len(chunk) for chunk in chunks]).cumsum(0).tolist()
    wholes = [chunks[0].new_empty(ends[-1]) for _ in range(p)]
    for rank, mine in enumerate(gather_round(chunks, ring)):
        for k, chunk in enumerate(mine):
            end = ends[(rank + k) % p]
            wholes[rank][end - len(chunk) : end] = chunk
    return wholes


def gather_equal_lengths(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Right where all chunks are as long as the first."""
    p, m = ring.world_size, len(chunks[0])
    wholes = [chunks[0].new_zeros(p * m) for _ in range(p)]
    for rank, mine in enumerate(gather_round(chunks, ring)):
        for k, chunk in enumerate(mine):
            place = wholes[rank][(rank + k) % p * m :][:m]
            place[: len(chunk)] = chunk[: len(place)]
    return wholes


def padded(flat: Rings) -> Rings:
    def anywhere(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
        n = tensors[0].numel()
        rows = [F.pad(tensor.reshape(-1), (0, -n % ring.world_size)) for tensor in tensors]
        return [total[:n].view(tensors[0].shape) for total in flat(rows, ring)]

    return anywhere


def in_shape(flat: Rings) -> Rings:
    return lambda tensors, ring: [
        total.view(tensors[0].shape) for total in flat([tensor.reshape(-1) for tensor in tensors], ring)
    ]


def both(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return gather_by_rolling(scatter_by_chunk(tensors, ring), ring)


def split_unevenly(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """No padding: chunks that differ in length by one."""
    cut = scatter_round(tensors, ring, lambda tensor: list(tensor.tensor_split(ring.world_size)))
    return gather_by_rolling(cut, ring)


def by_chunk_without_padding(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Fails where chunk(p) gives fewer than p chunks."""
    return gather_by_rolling(scatter_by_chunk(tensors, ring), ring)


def remainder_by_list(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The numbers that p does not divide, summed without a message."""
    kept = len(tensors[0]) // ring.world_size * ring.world_size
    totals = both([tensor[:kept] for tensor in tensors], ring)
    return [torch.cat([total, sum(tensor[kept:] for tensor in tensors)]) for total in totals]


def cost_by_steps(op: str, n_bytes: int, p: int) -> float:
    """Message by message."""
    message = n_bytes / p / p if op == "all_to_all" else n_bytes / p
    return sum(message for _ in range(p - 1)) * (2 if op == "all_reduce" else 1)


def cost_by_ledger(op: str, n_bytes: int, p: int) -> float:
    """What the ledger's formula says of one row; it takes what a rank hands over."""
    from tplearn.ranks.ledger import WIRE_BYTES

    return WIRE_BYTES[op](n_bytes / p if op in ("all_gather", "all_to_all") else n_bytes, p)


def cost_by_match(op: str, n_bytes: int, p: int) -> float:
    match op:
        case "all_reduce":
            return n_bytes * 2 * (1 - 1 / p)
        case "all_to_all":
            return n_bytes / p - n_bytes / p / p
        case _:
            return n_bytes - n_bytes / p


def by_convert(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    return simulated.convert(shards, source, target, ledger)


def by_hand(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    if source == target:
        return shards
    if source == Partial():
        if target == Replicate():
            return simulated.all_reduce(shards, ledger)
        return simulated.reduce_scatter(shards, target.dim, ledger=ledger)
    if isinstance(source, Shard):
        if isinstance(target, Shard):
            return simulated.all_to_all(shards, split_dim=target.dim, concat_dim=source.dim, ledger=ledger)
        return simulated.all_gather(shards, source.dim, ledger)
    if isinstance(target, Shard):
        return [shard.tensor_split(len(shards), target.dim)[rank] for rank, shard in enumerate(shards)]
    return [shards[0], *(torch.zeros_like(shard) for shard in shards[1:])]


def sum_in_two_halves(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    """Equal partials; and a sum over the wire as a reduce-scatter and an all-gather, which costs the same bytes."""
    if (source, target) == (Replicate(), Partial()):
        return [shard / len(shards) for shard in shards]
    return by_hand(shards, source, target, ledger)


def last_rank_keeps(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    if (source, target) == (Replicate(), Partial()):
        return [shard * (rank == len(shards) - 1) for rank, shard in enumerate(shards)]
    return by_hand(shards, source, target, ledger)


def lazy_redistribute(**ways: Callable) -> Callable:
    """Right but for some pairs of kinds of state: to_shard, to_whole, cut, spread, move, gather."""

    def answer(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
        names = {
            (Partial, Shard): "to_shard",
            (Partial, Replicate): "to_whole",
            (Replicate, Shard): "cut",
            (Replicate, Partial): "spread",
            (Shard, Shard): "move",
            (Shard, Replicate): "gather",
        }
        way = ways.get(names.get((type(source), type(target)), ""))
        if way is None or source == target:
            return by_hand(shards, source, target, ledger)
        return way(shards, source, target, ledger)

    return answer


def decoy_then_list(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    simulated.all_reduce(shards, ledger)
    return [sum(shards) for _ in shards]


LAZY = {
    "ring_reduce_scatter": {
        "no message: the list is summed": scatter_summed_here,
        "messages for show": scatter_with_decoys,
        "ledger rows by hand": rows_by_hand,
        "a ring of its own, which nobody counts": on_a_ring_of_its_own(scatter_by_chunk),
        "right on two ranks only": scatter_for_two,
        "the shelf's ring": simulated.ring_reduce_scatter,
        "its own chunk only": lambda tensors, ring: [t.chunk(len(tensors))[r] for r, t in enumerate(tensors)],
        "one message, made of what others never sent": scatter_at_the_neighbour,
        "only rank 0's tensor": lambda tensors, ring: list(tensors[0].chunk(len(tensors))),
    },
    "ring_all_gather": {
        "no message: the list is joined": lambda chunks, ring: [torch.cat(chunks) for _ in chunks],
        "one result for all": lambda chunks, ring: [torch.cat(chunks)] * len(chunks),
        "a ring of its own, which nobody counts": on_a_ring_of_its_own(gather_by_rolling),
        "messages for show": lambda chunks, ring: [gather_round(chunks, ring), torch.cat(chunks)][1:] * len(chunks),
        "all chunks as long as the first": gather_equal_lengths,
        "only rank 0's chunk": lambda chunks, ring: [torch.cat([chunks[0]] * len(chunks)) for _ in chunks],
    },
    "ring_all_reduce": {
        "no message: the list is summed": lambda tensors, ring: [sum(tensors) for _ in tensors],
        "a ring of its own, which nobody counts": on_a_ring_of_its_own(padded(both)),
        "no padding: 9 numbers on 4 ranks": in_shape(by_chunk_without_padding),
        "no padding: sizes that divide": in_shape(
            lambda tensors, ring: both([tensor.reshape(ring.world_size, -1).flatten() for tensor in tensors], ring)
        ),
        "the remainder without a message": in_shape(remainder_by_list),
        "only the first tensor": lambda tensors, ring: [tensors[0] * len(tensors) for _ in tensors],
        "a vector, whatever came in": lambda tensors, ring: [total.flatten() for total in padded(both)(tensors, ring)],
        "one phase over the wires, one from the list": padded(
            lambda tensors, ring: [torch.cat(scatter_by_chunk(tensors, ring))] * len(tensors)
        ),
    },
    "bytes_per_rank": {
        "sizes that divide": lambda op, n, p: cost_by_match(op, n // p * p, p),
        "whole bytes": lambda op, n, p: int(cost_by_match(op, n, p)),
        "large p": lambda op, n, p: n * {"all_reduce": 2, "all_to_all": 1 / p}.get(op, 1),
        "tp 1 forgotten": lambda op, n, p: cost_by_match(op, n, p) or float(n),
        "the chapter's ops only": lambda op, n, p: cost_by_match("all_reduce" if op == "all_reduce" else "else", n, p),
        "p = 8 is hard-coded": lambda op, n, p: cost_by_match(op, n, 8),
    },
    "redistribute": {
        "rank 0's copy, cut for all": lazy_redistribute(cut=lambda xs, a, b, ledger: list(xs[0].chunk(len(xs), b.dim))),
        "the sum without a message": lazy_redistribute(to_whole=lambda xs, a, b, ledger: [sum(xs) for _ in xs]),
        "a collective for show": lazy_redistribute(to_whole=decoy_then_list),
        "a reduce-scatter without a message": lazy_redistribute(
            to_shard=lambda xs, a, b, ledger: list(sum(xs).chunk(len(xs), b.dim))
        ),
        "gather, then cut": lazy_redistribute(
            move=lambda xs, a, b, ledger: [
                whole.chunk(len(xs), b.dim)[rank] for rank, whole in enumerate(simulated.all_gather(xs, a.dim, ledger))
            ]
        ),
        "rank 0's replica for everybody": lazy_redistribute(
            spread=lambda xs, a, b, ledger: [xs[0] / len(xs)] * len(xs)
        ),
        "collectives that nobody counts": lambda xs, a, b, ledger: by_hand(xs, a, b, Ledger()),
        "never cut along another dim than 0": lazy_redistribute(
            cut=lambda xs, a, b, ledger: [x.chunk(len(xs))[rank] for rank, x in enumerate(xs)]
        ),
    },
}

RIGHT = {
    "ring_reduce_scatter": {
        "chunk": scatter_by_chunk,
        "unflatten": scatter_by_unflatten,
        "one chunk after the other, a tuple": scatter_chunk_by_chunk,
        "messages in two halves": scatter_in_halves,
    },
    "ring_all_gather": {
        "lists that are rolled": gather_by_rolling,
        "one chunk after the other, a tuple": gather_chunk_by_chunk,
        "into slices of one tensor": gather_into_slices,
    },
    "ring_all_reduce": {
        "padded": padded(both),
        "uneven chunks, no padding": in_shape(split_unevenly),
        "one chunk after the other": padded(
            lambda tensors, ring: gather_chunk_by_chunk(list(scatter_chunk_by_chunk(tensors, ring)), ring)
        ),
        "early return at tp 1": lambda tensors, ring: (
            [tensors[0]] if ring.world_size == 1 else padded(both)(tensors, ring)
        ),
    },
    "bytes_per_rank": {
        "message by message": cost_by_steps,
        "by the ledger's formula": cost_by_ledger,
        "what does not stay at home": cost_by_match,
    },
    "redistribute": {
        "the shelf's": by_convert,
        "by hand": by_hand,
        "equal partials": sum_in_two_halves,
        "the last rank keeps": last_rank_keeps,
    },
}


def summed(case: Case) -> Tensor:
    return torch.stack(case.args[0]).sum(0)


def cost_counted(case: Case) -> dict:
    """Every message of every chunk, counted one by one: source and destination of each block."""
    op, n, p = case.args
    whole_chunk, block = n / p, n / p / p
    sent = [0.0] * p
    for rank in range(p):
        for other in range(p):
            if other != rank:
                sent[rank] += {"all_reduce": 2 * whole_chunk, "all_to_all": block}.get(op, whole_chunk)
    assert max(sent) - min(sent) < 1e-9
    return {"forward": sent[0]}


def states_oracle(case: Case) -> dict:
    shards, source, target = case.args
    p, whole = case.tp, unshard(case.args[0], source)
    if isinstance(target, Partial):
        return {"forward": {"sum of the partials": whole}}
    if isinstance(target, Replicate):
        return {"forward": [whole] * p}
    return {"forward": list(torch.tensor_split(whole, p, target.dim))}


ORACLES = {
    "ring_reduce_scatter": lambda case: {"forward": list(summed(case).reshape(case.tp, -1))},
    "ring_all_gather": lambda case: {"forward": [torch.cat(case.args[0])] * case.tp},
    "ring_all_reduce": lambda case: {"forward": [summed(case)] * case.tp},
    "bytes_per_rank": cost_counted,
    "redistribute": states_oracle,
}
