"""Exercise 05.1: ring all-reduce on gloo, with isend and irecv, within 2 (p − 1) sends of n / p."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank


def _pass_right(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    arrived = torch.empty_like(x)
    works = [dist.isend(x, dst=(rank + 1) % p), dist.irecv(arrived, src=(rank - 1) % p)]
    for work in works:
        work.wait()
    return arrived


def all_reduce_by_ring(x: Tensor) -> Tensor:
    """x: any shape, x.numel() divisible by p -> the sum over ranks, same shape, on every rank."""
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))  # any shape -> p times [n / p]
    for step in range(p - 1):
        arrived = _pass_right(chunks[(rank - step - 1) % p])
        chunks[(rank - step - 2) % p] = chunks[(rank - step - 2) % p] + arrived
    for step in range(p - 1):
        chunks[(rank - step - 1) % p] = _pass_right(chunks[(rank - step) % p])
    return torch.cat(chunks).reshape(x.shape)


def _cases(generator: torch.Generator) -> list[Case]:
    shapes = {1: (3,), 2: (3, 4), 3: (15,), 4: (2, 3, 4)}
    return [Case(tp, (per_rank(one_each(tp, generator, *shape)),)) for tp, shape in shapes.items()]


def _to_rank_0_and_back(x: Tensor) -> Tensor:
    total = x.clone()
    others = range(1, dist.get_world_size())
    if dist.get_rank() == 0:
        for peer in others:
            arrived = torch.empty_like(x)
            dist.recv(arrived, src=peer)
            total = total + arrived
        for peer in others:
            dist.send(total, dst=peer)
    else:
        dist.send(total, dst=0)
        dist.recv(total, src=0)
    return total


def _built_in(x: Tensor) -> Tensor:
    total = x.clone()
    dist.all_reduce(total)
    return total


def _whole_tensors(x: Tensor) -> Tensor:
    total, travelling = x.clone(), x
    for _ in range(dist.get_world_size() - 1):
        travelling = _pass_right(travelling)
        total = total + travelling
    return total


def _off_by_one(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))
    for step in range(p - 1):
        index = (rank - step - 1) % p
        chunks[index] = chunks[index] + _pass_right(chunks[index])
    for step in range(p - 1):
        chunks[(rank - step - 1) % p] = _pass_right(chunks[(rank - step) % p])
    return torch.cat(chunks).reshape(x.shape)


def _gather_forgotten(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))
    for step in range(p - 1):
        arrived = _pass_right(chunks[(rank - step - 1) % p])
        chunks[(rank - step - 2) % p] = chunks[(rank - step - 2) % p] + arrived
    return torch.cat(chunks).reshape(x.shape)


def _adds_in_both_halves(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))
    for step in range(2 * (p - 1)):
        arrived = _pass_right(chunks[(rank - step - 1) % p])
        chunks[(rank - step - 2) % p] = chunks[(rank - step - 2) % p] + arrived
    return torch.cat(chunks).reshape(x.shape)


def _in_place(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))
    for step in range(p - 1):
        chunks[(rank - step - 2) % p] += _pass_right(chunks[(rank - step - 1) % p])
    for step in range(p - 1):
        chunks[(rank - step - 1) % p].copy_(_pass_right(chunks[(rank - step) % p]))
    return torch.cat(chunks).reshape(x.shape)


def _recv_before_send(x: Tensor) -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))
    for step in range(2 * (p - 1)):
        arrived = torch.empty_like(chunks[0])
        dist.recv(arrived, src=(rank - 1) % p)
        dist.send(chunks[(rank - step - 1) % p], dst=(rank + 1) % p)
        index = (rank - step - 2) % p
        chunks[index] = chunks[index] + arrived if step < p - 1 else arrived
    return torch.cat(chunks).reshape(x.shape)


ALL_REDUCE_BY_RING = Exercise(
    number="05.1",
    name="all_reduce_by_ring",
    points=20,
    difficulty=3,
    minutes=20,
    reference=all_reduce_by_ring,
    cases=_cases,
    ranks=True,
    sent=Traffic(bytes_only=True, ops=frozenset({"send", "recv"})),
    mutants=(
        Mutant(
            "recv before send",
            _recv_before_send,
            "Every rank waits in recv for a neighbour that also waits in recv. Nobody has sent yet, and nobody will.",
            "isend and irecv first, then wait for both.",
            alone=True,
        ),
        Mutant(
            "all to rank 0 and back",
            _to_rank_0_and_back,
            "The numbers are right, the traffic is not: all tensors go to rank 0 and back, so rank 0 sends and "
            "receives "
            "p − 1 whole tensors while the others wait for it. On a ring each rank sends 2 (p − 1) pieces of n / p.",
            "who sends to whom. Only neighbours may talk.",
        ),
        Mutant(
            "dist.all_reduce",
            _built_in,
            "The sum is right, but dist.all_reduce made it. The ledger should show your own 2 (p − 1) sends.",
            "the ledger: one all_reduce, no send.",
        ),
        Mutant(
            "whole tensors around the ring",
            _whole_tensors,
            "The sum is right, but whole tensors travel: (p − 1) · n instead of 2 (p − 1) / p · n. From 3 ranks on "
            "that is "
            "more, and it grows with p.",
            "cut x into p chunks before the first step; a step moves one chunk.",
        ),
        Mutant(
            "off by one",
            _off_by_one,
            "What arrives belongs to another chunk than the one you sent in the same step: your left neighbour is one "
            "chunk behind you. You added it to the chunk that you sent.",
            "the index that you add to: (rank − step − 2) mod p when you send (rank − step − 1) mod p.",
        ),
        Mutant(
            "all-gather forgotten",
            _gather_forgotten,
            "After the first p − 1 steps each rank holds one finished chunk and p − 1 unfinished ones. "
            "You returned there, half way.",
            "the second half: p − 1 more steps that pass the finished chunks on.",
        ),
        Mutant(
            "adds in both halves",
            _adds_in_both_halves,
            "In the second half a chunk that arrives is finished. You added it to your own unfinished one, so some "
            "shares "
            "are counted twice. It has to take the other's place.",
            "the second p − 1 steps: replace, do not add.",
        ),
        Mutant(
            "input changed in place",
            _in_place,
            "The sum is right, but x is not what it was: the chunks are views of x, and += wrote through them. The "
            "caller "
            "still needs x.",
            "write chunks[i] = chunks[i] + arrived, or clone x first.",
        ),
    ),
)
