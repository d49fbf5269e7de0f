"""Chapter 04's exercises: bytes are a budget, not a recipe, and any summands with the right sum are a Partial."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.checks.trial import faults
from tplearn.checks.ch04_collectives import EXERCISES
from tplearn.checks.ch04_collectives.cost import BYTES_PER_RANK, PHASES, bytes_per_rank
from tplearn.checks.exercise import Exercise
from tplearn.simulated import Partial, Replicate, Ring, convert, ring_all_gather, ring_all_reduce, ring_reduce_scatter

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


def faults_of(exercise: Exercise, answer: Callable) -> list[str]:
    return faults(exercise, {"answer": answer}, exercise.cases(torch.Generator().manual_seed(5)))["answer"]


def test_smaller_messages_are_within_the_budget() -> None:
    """A ring that sends each chunk in two halves sends the same bytes."""

    class Halving:
        def __init__(self, ring: Ring) -> None:
            self.ring, self.world_size = ring, ring.world_size

        def send(self, src: int, dst: int, tensor: Tensor) -> None:
            for half in tensor.tensor_split(2):
                self.ring.send(src, dst, half)

        def recv(self, src: int, dst: int) -> Tensor:
            return torch.cat([self.ring.recv(src, dst), self.ring.recv(src, dst)])

    assert not faults_of(BY_NAME["ring_reduce_scatter"], lambda xs, ring: ring_reduce_scatter(xs, Halving(ring)))
    assert not faults_of(BY_NAME["ring_all_gather"], lambda xs, ring: ring_all_gather(xs, Halving(ring)))


def test_the_budget_counts_every_ranks_bytes() -> None:
    """The right sum after one wasted message on one rank is over budget on that rank alone."""

    def wasteful(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
        totals = BY_NAME["ring_all_reduce"].reference(tensors, ring)
        if ring.world_size > 1:
            ring.send(0, 1, torch.zeros(1, dtype=torch.float64))
        return totals

    exercise = BY_NAME["ring_all_reduce"]
    found = faults_of(exercise, wasteful)
    assert found and all(fault.endswith("ledger") and "tp = 1" not in fault for fault in found)


def test_the_formula_is_what_the_rings_send() -> None:
    p, n = 4, 24
    tensors = [torch.ones(n) for _ in range(p)]
    runs = {
        "reduce_scatter": lambda ring: ring_reduce_scatter(tensors, ring),
        "all_gather": lambda ring: ring_all_gather([tensor[: n // p] for tensor in tensors], ring),
        "all_reduce": lambda ring: ring_all_reduce(tensors, ring),
    }
    assert runs.keys() == PHASES.keys() and BYTES_PER_RANK.reference is bytes_per_rank
    for op, run in runs.items():
        ring = Ring(p)
        run(ring)
        assert bytes_per_rank(op, n * 4, p) == ring.ledger.bytes("send", rank=0)


def test_equal_summands_are_a_partial_too() -> None:
    """x / p on every rank has the right sum: another answer than the reference's zeros, and as right."""

    def by_division(shards, source, target, ledger=None):
        if (source, target) == (Replicate(), Partial()):
            return [shard / len(shards) for shard in shards]
        return convert(shards, source, target, ledger)

    assert not faults_of(BY_NAME["redistribute"], by_division)
