"""Exercise 06.6: f and g at the right two places of an MLP with a residual, whose shards are given."""

from torch import Generator, Tensor
from torch.nn.functional import silu

from tplearn.checks.ch06_backward.drive import ForwardAndBack
from tplearn.checks.ch06_backward.inputs import copies
from tplearn.checks.ch06_backward.wrong import residual_sums
from tplearn.checks.ch06_backward.wrong.residual import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.parallel import copy_to_group as f
from tplearn.parallel import reduce_from_group as g
from tplearn.ranks import per_rank

NAMES = ("x", "gate_shard", "up_shard", "down_shard", "bias")


def residual_mlp(x: Tensor, gate_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    """x: [tokens, hidden]; gate, up: [ffn/p, hidden]; down: [hidden, ffn/p]; bias: [hidden] → [tokens, hidden]."""
    h = f(x)
    y_partial = (silu(h @ gate_shard.T) * (h @ up_shard.T)) @ down_shard.T
    return x + g(y_partial) + bias


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        tokens, hidden, width = pick(generator, 4, 6), pick(generator, 7, 9), pick(generator, 2, 3)
        x, bias, upstream = (copies(tp, generator, *shape) for shape in ((tokens, hidden), (hidden,), (tokens, hidden)))
        shapes = ((width, hidden), (width, hidden), (hidden, width))
        gates, ups, downs = (one_each(tp, generator, *shape) for shape in shapes)
        inputs = [list(own) for own in zip(x, gates, ups, downs, bias, strict=True)]
        cases.append(Case(tp, (per_rank(inputs), per_rank(upstream))))
    return cases


RESIDUAL_MLP = Exercise(
    number="06.6",
    name="residual_mlp",
    points=15,
    difficulty=3,
    minutes=15,
    reference=residual_mlp,
    cases=_cases,
    observe=ForwardAndBack(NAMES),
    ranks=True,
    mutants=MUTANTS + residual_sums.MUTANTS,
)
