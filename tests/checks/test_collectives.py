"""Chapter 04's exercises: bytes are a budget that every rank keeps, formulas are what rings send, verdicts count."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.checks.trial import faults, observations
from tplearn.checks import judge
from tplearn.checks.ch04_collectives import EXERCISES
from tplearn.checks.ch04_collectives.cost import BYTES_PER_RANK, bytes_per_rank
from tplearn.checks.ch04_collectives.formulas import COSTS
from tplearn.checks.exercise import Exercise
from tplearn.simulated import Ledger, Ring, all_to_all, ring_all_gather, ring_all_reduce, ring_reduce_scatter

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


def faults_of(exercise: Exercise, answer: Callable) -> list[str]:
    cases = exercise.cases(torch.Generator().manual_seed(5))
    return faults(exercise, {"answer": answer}, cases, *observations(exercise, {"answer": answer}, cases))["answer"]


def test_the_budget_counts_every_ranks_bytes() -> None:
    """The right sum after one wasted message on one rank is over budget on that rank alone."""

    def wasteful(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
        totals = BY_NAME["ring_all_reduce"].reference(tensors, ring)
        if ring.world_size > 1:
            ring.send(0, ring.world_size - 1, torch.zeros(1, dtype=torch.float64))
        return totals

    found = faults_of(BY_NAME["ring_all_reduce"], wasteful)
    divides = [fault for fault in found if "p divides" in fault]
    assert divides and all(fault.endswith("ledger") and "tp = 1" not in fault for fault in divides)


def test_the_formula_is_what_the_rings_send() -> None:
    p, n = 4, 24
    tensors = [torch.ones(n) for _ in range(p)]
    runs = {
        "reduce_scatter": lambda ring: ring_reduce_scatter(tensors, ring),
        "all_gather": lambda ring: ring_all_gather([tensor[: n // p] for tensor in tensors], ring),
        "all_reduce": lambda ring: ring_all_reduce(tensors, ring),
    }
    assert {*runs, "all_to_all"} == COSTS.keys() and BYTES_PER_RANK.reference is bytes_per_rank
    for op, run in runs.items():
        ring = Ring(p)
        run(ring)
        assert bytes_per_rank(op, n * 4, p) == ring.ledger.bytes("send", rank=0)


def test_the_formula_is_what_the_ledger_counts_for_an_all_to_all() -> None:
    p, ledger = 4, Ledger()
    all_to_all([torch.ones(p, 3) for _ in range(p)], 0, 1, ledger)
    assert bytes_per_rank("all_to_all", p * p * 3 * 4, p) == ledger.wire_bytes("all_to_all", rank=0)


def test_a_ring_that_carries_less_than_any_can_is_told_so() -> None:
    """Simulated ranks lie in one list: what was read there never crossed a wire."""
    verdict = " ".join(str(judge(BY_NAME["ring_all_gather"], lambda xs, ring: [torch.cat(xs)] * len(xs))).split())
    assert "the wires carried 0 bytes in all. No ring gets by with less than" in verdict


def test_a_lost_partial_is_counted() -> None:
    """What a sum is made of, rank by rank, where no mutant is like it."""

    def without_rank_1(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
        kept = [tensor * (rank != 1) for rank, tensor in enumerate(tensors)]
        return BY_NAME["ring_reduce_scatter"].reference(kept, ring)

    verdict = " ".join(str(judge(BY_NAME["ring_reduce_scatter"], without_rank_1)).split())
    due = "rank 0's + rank 1's + rank 2's + rank 3's + rank 4's"
    held = due.replace("rank 1's + ", "")
    assert f"On tp = 5, rank 0's result is made of {held}, where {due} is due." in verdict


def test_several_mistakes_are_named_one_by_one() -> None:
    """An answer with another mistake for each op is told the mutant that explains one of them."""

    def answer(op: str, n_bytes: int, p: int) -> float:
        return {"all_reduce": (p - 1) / p * n_bytes, "all_to_all": n_bytes / p}.get(op, 3.0 * n_bytes)

    assert judge(BYTES_PER_RANK, answer).misconception in ("one phase for all", "all-to-all sends its whole shard")
