"""Exercise 04.5: turn any state into any other, with the one collective that it takes."""

from torch import Generator, Tensor

from tplearn.checks.ch04_collectives.drive import BetweenStates
from tplearn.checks.ch04_collectives.wrong import redistribute_where
from tplearn.checks.ch04_collectives.wrong.redistribute import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, randn
from tplearn.simulated import (
    Ledger,
    Partial,
    Replicate,
    Shard,
    convert,
)
from tplearn.simulated.states import State

PAIRS: tuple[tuple[State, State], ...] = (
    (Partial(), Replicate()),
    (Partial(), Shard(0)),
    (Partial(), Shard(-1)),
    (Partial(), Shard(-2)),
    (Shard(0), Replicate()),
    (Shard(1), Replicate()),
    (Shard(-1), Replicate()),
    (Shard(-2), Replicate()),
    (Shard(0), Shard(1)),
    (Shard(2), Shard(0)),
    (Shard(-1), Shard(-2)),
    (Replicate(), Shard(0)),
    (Replicate(), Shard(1)),
    (Replicate(), Shard(-1)),
    (Replicate(), Shard(-2)),
    (Replicate(), Shard(-3)),
    (Replicate(), Partial()),
    (Shard(1), Shard(1)),
    (Partial(), Partial()),
    (Replicate(), Replicate()),
)


def redistribute(shards: list[Tensor], source: State, target: State, ledger: Ledger | None = None) -> list[Tensor]:
    """The same tensor in another state, at the least cost."""
    return convert(shards, source, target, ledger)


def _cases(generator: Generator) -> list[Case]:
    """Every pair of states on each tp; three sizes that differ, and that each tp divides; replicas in own memory."""
    cases = []
    for tp in (1, 2, 3):
        sizes = (2 * tp, 3 * tp, tp)
        for source, target in PAIRS:
            if isinstance(source, Partial):
                shards = one_each(tp, generator, *sizes)
            else:
                whole = randn(generator, *sizes)
                shards = convert([whole.clone() for _ in range(tp)], Replicate(), source)
            cases.append(Case(tp, (shards, source, target), label=f"from {source} to {target}"))
    return cases


REDISTRIBUTE = Exercise(
    number="04.5",
    name="redistribute",
    points=10,
    difficulty=2,
    minutes=18,
    reference=redistribute,
    cases=_cases,
    observe=BetweenStates(),
    mutants=MUTANTS + redistribute_where.MUTANTS,
)
