"""Exercise 06.5: join the sequence, for ranks that go on differently; the backward is a reduce-scatter."""

from torch import Generator, Tensor

from tplearn.checks.ch06_backward.drive import ForwardAndBack
from tplearn.checks.ch06_backward.wires import joined, pair, reduce_scattered
from tplearn.checks.ch06_backward.wrong.sequence import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank


def gather_sequence(x: Tensor) -> Tensor:
    """x: [batch, sequence/p, hidden] → [batch, sequence, hidden]. Backward: shard r of the sum of the gradients."""
    return pair(lambda x: joined(x, 1), lambda grad: reduce_scattered(grad, 1))(x)


def _cases(generator: Generator) -> list[Case]:
    """A shard of the sequence for each rank, and a gradient of the whole for each: each uses it differently."""
    cases = []
    for tp in (2, 3, 4):
        batch, tokens, hidden = tp * pick(generator, 1, 2), pick(generator, 2, 3), pick(generator, 3, 5)
        shards = [[x] for x in one_each(tp, generator, batch, tokens, hidden)]
        cases.append(Case(tp, (per_rank(shards), per_rank(one_each(tp, generator, batch, tp * tokens, hidden)))))
    return cases


GATHER_SEQUENCE = Exercise(
    number="06.5",
    name="gather_sequence",
    points=15,
    difficulty=3,
    minutes=15,
    reference=gather_sequence,
    cases=_cases,
    observe=ForwardAndBack(),
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.parallel.collectives",),
)
