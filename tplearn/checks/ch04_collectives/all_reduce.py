"""Exercise 04.3: ring all-reduce of tensors of any shape, within 2 (p − 1) chunks sent by each rank."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tplearn import simulated
from tplearn.checks.ch04_collectives.budget import (
    ON_A_RING,
    SIZES,
    OnARing,
    chunked,
    shift_and_add,
    total_to_rank_0_and_back,
)
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.simulated import Ring


def ring_all_reduce(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors of any one shape → p equal tensors of that shape, the sum. Pads with zeros to a multiple of p."""
    p, shape, n = ring.world_size, tensors[0].shape, tensors[0].numel()
    flat = [F.pad(tensor.flatten(), (0, -n % p)) for tensor in tensors]
    totals = simulated.ring_all_gather(simulated.ring_reduce_scatter(flat, ring), ring)
    return [total[:n].reshape(shape) for total in totals]


def _cases(generator: Generator) -> list[Case]:
    """Matrices whose size divides by p, and one of 7 × 5 numbers, which no p above 1 and below 5 divides."""
    shapes = [(tp, (2 * tp, 5)) for tp in SIZES] + [(tp, (7, 5)) for tp in SIZES[1:]]
    return [
        Case(tp, ([torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(tp)],))
        for tp, shape in shapes
    ]


def _only_reduce_scatter(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Rank r's buffer after the first phase: chunk r is the sum, the other chunks are running sums."""
    p, shape, n = ring.world_size, tensors[0].shape, tensors[0].numel()
    chunks = chunked([F.pad(tensor.flatten(), (0, -n % p)) for tensor in tensors], p)
    shift_and_add(chunks, ring, p - 1)
    return [torch.cat(mine)[:n].reshape(shape) for mine in chunks]


def _chunks_among_zeros(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    p, shape, n = ring.world_size, tensors[0].shape, tensors[0].numel()
    mine = simulated.ring_reduce_scatter([F.pad(tensor.flatten(), (0, -n % p)) for tensor in tensors], ring)
    zero = torch.zeros_like(mine[0])
    return [
        torch.cat([mine[rank] if index == rank else zero for index in range(p)])[:n].reshape(shape) for rank in range(p)
    ]


def _remainder_dropped(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The last n mod p numbers stay what they were on each rank."""
    p, shape = ring.world_size, tensors[0].shape
    kept = tensors[0].numel() // p * p
    totals = simulated.ring_all_reduce([tensor.flatten()[:kept] for tensor in tensors], ring)
    tails = [tensor.flatten()[kept:] for tensor in tensors]
    return [torch.cat(pair).reshape(shape) for pair in zip(totals, tails, strict=True)]


def _whole_tensors_round_the_ring(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Everybody's whole tensor visits everybody: (p − 1) · n bytes for each rank."""
    p = ring.world_size
    totals, travelling = [tensor.clone() for tensor in tensors], list(tensors)
    for _ in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, travelling[rank])
        travelling = [ring.recv((rank - 1) % p, rank) for rank in range(p)]
        totals = [total + tensor for total, tensor in zip(totals, travelling, strict=True)]
    return totals


RING_ALL_REDUCE = Exercise(
    number="04.3",
    name="ring_all_reduce",
    points=10,
    difficulty=2,
    minutes=12,
    reference=ring_all_reduce,
    cases=_cases,
    observe=OnARing(),
    sent=ON_A_RING,
    mutants=(
        Mutant(
            "all to rank 0 and back",
            total_to_rank_0_and_back,
            "Your numbers are right, and over budget from three ranks on. The total travelled to rank 0 and back, so "
            "ranks in between sent 2 whole tensors where 2 (tp − 1)/tp do, and at every moment all but one of them "
            "were idle.",
            "the length of what you send: a chunk of 1/tp. Then everybody can send at once.",
        ),
        Mutant(
            "whole tensors round the ring",
            _whole_tensors_round_the_ring,
            "Your numbers are right, but the cost grows with tp: every whole tensor visited every rank, (tp − 1) · n "
            "bytes each. Add before you pass on, and pass on one chunk at a time: then each rank sends less than 2 · "
            "n, for any tp.",
            "reduce-scatter first, all-gather second.",
        ),
        Mutant(
            "all-gather forgotten",
            _only_reduce_scatter,
            "On rank r, chunk r is right and the others are half-finished sums. You stopped after the "
            "reduce-scatter. The tp − 1 steps of the all-gather are missing: they carry the finished chunks to "
            "everybody.",
            "the second phase.",
        ),
        Mutant(
            "chunks among zeros",
            _chunks_among_zeros,
            "On rank r, chunk r is right and the others are zero. The reduce-scatter is done and the tp − 1 steps of "
            "the all-gather are missing: they carry the finished chunks to everybody.",
            "the second phase.",
        ),
        Mutant(
            "remainder dropped",
            _remainder_dropped,
            "Right where the size divides by tp. Where it does not, n // tp numbers for each chunk leave a remainder "
            "that was never summed: the last n mod tp numbers are each rank's own.",
            "pad with zeros to a multiple of tp before, cut the padding off after.",
        ),
        Mutant(
            "mean for sum",
            lambda tensors, ring: [total / ring.world_size for total in ring_all_reduce(tensors, ring)],
            "Your result is the truth divided by tp. Averaging is right for gradients of data-parallel replicas. "
            "Here the ranks hold summands of one tensor: they are added.",
            "a division by p that does not belong there.",
        ),
    ),
)
