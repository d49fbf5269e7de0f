"""Exercise 02.5: both cuts, each with its collective in the ledger."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import SIZES, pieces, products, two_sizes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.checks.traffic import Traffic
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def linear_by_plan(
    x: Tensor, weight: Tensor, bias: Tensor, world_size: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    """x: [batch, in]; weight: [out, in]; bias: [out]; plan: "column" or "row" → p equal tensors [batch, out]."""
    if plan == "column":
        finished = pieces(x, split(weight, world_size, 0), split(bias, world_size, 0))
        return all_gather(finished, -1, ledger=ledger)
    parts = products(split(x, world_size, 1), split(weight, world_size, 1))
    return [y + bias for y in all_reduce(parts, ledger=ledger)]


def plan_cases(generator: Generator) -> list[Case]:
    """Both plans on each tp."""
    cases = []
    for tp in SIZES:
        out_features, in_features = two_sizes(generator)
        for plan in ("column", "row"):
            x, weight = randn(generator, 5, in_features), randn(generator, out_features, in_features)
            cases.append(Case(tp, (x, weight, 1 + randn(generator, out_features), tp, plan)))
    return cases


def _plans_swapped(
    x: Tensor, weight: Tensor, bias: Tensor, p: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    return linear_by_plan(x, weight, bias, p, {"row": "column", "column": "row"}[plan], ledger)


def _no_collective(
    x: Tensor, weight: Tensor, bias: Tensor, p: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    return linear_by_plan(x, weight, bias, p, plan, None)


def _padded_sum(
    x: Tensor, weight: Tensor, bias: Tensor, p: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    if plan == "row":
        return linear_by_plan(x, weight, bias, p, plan, ledger)
    finished = pieces(x, split(weight, p, 0), split(bias, p, 0))
    width = finished[0].shape[-1]
    padded = [torch.nn.functional.pad(y, (rank * width, (p - 1 - rank) * width)) for rank, y in enumerate(finished)]
    return all_reduce(padded, ledger=ledger)


def _bias_in_the_sum(
    x: Tensor, weight: Tensor, bias: Tensor, p: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    if plan == "column":
        return linear_by_plan(x, weight, bias, p, plan, ledger)
    return all_reduce([y + bias for y in products(split(x, p, 1), split(weight, p, 1))], ledger=ledger)


def _whole_bias_on_a_piece(
    x: Tensor, weight: Tensor, bias: Tensor, p: int, plan: str, ledger: Ledger | None = None
) -> list[Tensor]:
    if plan == "row":
        return linear_by_plan(x, weight, bias, p, plan, ledger)
    return all_gather([x @ shard.T + bias for shard in split(weight, p, 0)], -1, ledger=ledger)


LINEAR_BY_PLAN = Exercise(
    number="02.5",
    name="linear_by_plan",
    points=10,
    difficulty=2,
    minutes=12,
    reference=linear_by_plan,
    cases=plan_cases,
    observe=WithLedger(forward_and_gradient),
    sent=Traffic(exact=True),  # the plan says which collective
    mutants=(
        Mutant(
            "plans swapped",
            _plans_swapped,
            "Every number and every gradient is right, and the ledger is not: you ran the row plan where the column "
            "plan was asked for, and the other way round. Only the collectives tell the two apart.",
            'which branch runs for plan == "column".',
        ),
        Mutant(
            "no collective",
            _no_collective,
            "The result is right but the ledger is empty: the pieces were put together without a collective that "
            "wrote it down. On real ranks each piece sits in another process, and nothing would have moved.",
            "all_gather(..., ledger=ledger) and all_reduce(..., ledger=ledger).",
        ),
        Mutant(
            "padded and summed",
            _padded_sum,
            "The result is right, but the column plan ended in an all-reduce of mostly zeros. It works, because a "
            "sum of pieces padded to full width is their concatenation, and it moves tp times the bytes.",
            "the collective that puts finished pieces side by side.",
        ),
        Mutant(
            "bias in the sum",
            _bias_in_the_sum,
            "The column plan is right. In the row plan each rank added the bias to its part, and the all-reduce "
            "counted it tp times.",
            "the order of the bias and the all-reduce in the row plan.",
        ),
        Mutant(
            "whole bias on a piece",
            _whole_bias_on_a_piece,
            "The row plan is right. In the column plan a rank's piece has out/tp outputs and the bias has out: cut "
            "the bias like the weight's outputs.",
            "split(bias, world_size, 0).",
        ),
    ),
)
