"""Exercise 04.5: turn any state into any other, with the one collective that it takes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import WithLedger, forward
from tplearn.simulated import Ledger, Partial, Replicate, Shard, all_gather, all_reduce, convert, split, unshard

State = Replicate | Shard | Partial
PAIRS: tuple[tuple[State, State], ...] = (
    (Partial(), Replicate()),
    (Partial(), Shard(0)),
    (Partial(), Shard(1)),
    (Shard(0), Replicate()),
    (Shard(1), Replicate()),
    (Replicate(), Shard(0)),
    (Replicate(), Shard(1)),
    (Replicate(), Partial()),
    (Shard(1), Shard(1)),
)


def redistribute(shards: list[Tensor], source: State, target: State, ledger: Ledger | None = None) -> list[Tensor]:
    """The same tensor in another state, at the least cost."""
    return convert(shards, source, target, ledger)


def _cases(generator: Generator) -> list[Case]:
    """Every pair of states on each tp; a matrix whose two sizes differ."""
    cases = []
    for tp in (1, 2, 4):
        for source, target in PAIRS:
            parts = [torch.randn(8, 12, dtype=torch.float64, generator=generator) for _ in range(tp)]
            shards = parts if isinstance(source, Partial) else convert(parts[:1] * tp, Replicate(), source)
            cases.append(Case(tp, (shards, source, target)))
    return cases


def whatever_sums_up(fn: Callable[..., Any], shards: list[Tensor], source: State, target: State, **more: Any) -> dict:
    """As forward; summands are compared by their sum, since any summands with that sum are right."""
    seen = forward(fn, shards, source, target, **more)
    parts = seen["forward"]
    if isinstance(target, Partial) and isinstance(parts, list) and len(parts) == len(shards):
        alike = all(isinstance(part, Tensor) and part.shape == shards[0].shape for part in parts)
        return seen | ({"forward": {"sum of the parts": torch.stack(parts).sum(0)}} if alike else {})
    return seen


def _instead(
    wanted: Callable[[State, State], bool], answer: Callable[..., list[Tensor]]
) -> Callable[..., list[Tensor]]:
    """The right answer, except for the pairs of states that are `wanted`."""

    def mutant(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
        do = answer if wanted(source, target) else redistribute
        return do(shards, source, target, ledger)

    return mutant


def _from_partial_to_shard(source: State, target: State) -> bool:
    return isinstance(source, Partial) and isinstance(target, Shard)


def _sum_then_cut(shards: list[Tensor], source: State, target: Shard, ledger: Ledger) -> list[Tensor]:
    return [split(total, len(shards), target.dim)[rank] for rank, total in enumerate(all_reduce(shards, ledger))]


def _no_sum(shards: list[Tensor], source: State, target: Shard, ledger: Ledger) -> list[Tensor]:
    return [split(part, len(shards), target.dim)[rank] for rank, part in enumerate(shards)]


REDISTRIBUTE = Exercise(
    number="04.5",
    name="redistribute",
    points=10,
    difficulty=2,
    minutes=15,
    reference=redistribute,
    cases=_cases,
    observe=WithLedger(whatever_sums_up),
    mutants=(
        Mutant(
            "all-reduce, then cut",
            _instead(_from_partial_to_shard, _sum_then_cut),
            "Right numbers, twice the bytes. From Partial to Shard you gave every rank the whole sum, and each threw "
            "away all but its part. That is a reduce-scatter and an all-gather whose result nobody wanted.",
            "the ledger of Partial() to Shard(dim): one reduce_scatter.",
        ),
        Mutant(
            "copies are no summands",
            _instead(
                lambda source, target: (source, target) == (Replicate(), Partial()),
                lambda shards, source, target, ledger: [shard.clone() for shard in shards],
            ),
            "From Replicate to Partial you left the copies as they were. Partial means that the ranks' tensors are "
            "added, and tp copies add up to tp times the truth. This is how a row-parallel bias is counted tp times.",
            "one rank keeps the tensor, the others hold zeros.",
        ),
        Mutant(
            "gather where a sum is due",
            _instead(
                lambda source, target: (source, target) == (Partial(), Replicate()),
                lambda shards, source, target, ledger: all_gather(shards, 0, ledger),
            ),
            "From Partial to Replicate you put the parts one below the other: tp times too many rows. Parts of the "
            "full shape lie on top of each other, so they are added. Only shards go side by side.",
            "unshard of Partial() is a sum.",
        ),
        Mutant(
            "always dim 0",
            _instead(
                lambda source, target: isinstance(source, Shard) and isinstance(target, Replicate),
                lambda shards, source, target, ledger: all_gather(shards, 0, ledger),
            ),
            "You gather along dim 0 whatever the state says. For Shard(0) that is right. For Shard(1) the pieces "
            "belong side by side, and you stacked them.",
            "source.dim: a Shard knows where it was cut.",
        ),
        Mutant(
            "mean for sum",
            _instead(
                lambda source, target: (source, target) == (Partial(), Replicate()),
                lambda shards, source, target, ledger: [x / len(shards) for x in all_reduce(shards, ledger)],
            ),
            "From Partial to Replicate your result is the truth divided by tp. Summands are added. A mean would be "
            "right for copies that ought to be equal, and those are Replicate.",
            "a division by the number of ranks.",
        ),
        Mutant(
            "a slice of a summand",
            _instead(_from_partial_to_shard, _no_sum),
            "From Partial to Shard each rank cut out its part of its own summand, and the other ranks' summands were "
            "lost. A slice is enough when every rank holds the whole tensor. Partial must be added first.",
            "Partial() to Shard(dim): reduce_scatter.",
        ),
        Mutant(
            "a sum without messages",
            _instead(
                lambda source, target: (source, target) == (Partial(), Replicate()),
                lambda shards, source, target, ledger: [unshard(shards, source).clone() for _ in shards],
            ),
            "The numbers are right and the ledger is empty: you added the list yourself. On real machines no rank "
            "can read another rank's tensor. Only a collective brings it over, and the ledger counts it.",
            "pass ledger=ledger to all_reduce.",
        ),
    ),
)
