"""Exercise 10.6: a column-parallel layer that keeps its own tokens only, and gathers again in the backward pass."""

from torch import Generator, Tensor
from torch.autograd import Function
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.drive import with_costs
from tplearn.checks.ch10_sequence_parallel.regather_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.parallel import gather_sequence, reduce_scatter_sequence
from tplearn.ranks import per_rank


class _Regather(Function):
    """Keeps x_shard and the weight. Inside a Function there is no autograd: the two collectives are plain ones."""

    @staticmethod
    def forward(ctx, x_shard: Tensor, weight_shard: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(x_shard, weight_shard)
        return F.linear(gather_sequence(x_shard, dim=1), weight_shard)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        x_shard, weight_shard = ctx.saved_tensors
        x = gather_sequence(x_shard, dim=1)
        grad_weight = grad_output.flatten(0, 1).T @ x.flatten(0, 1)
        return reduce_scatter_sequence(grad_output @ weight_shard, dim=1), grad_weight


def regather_linear(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    """x_shard: [batch, seq/p, hidden]; weight_shard: [out/p, hidden] → [batch, seq, out/p]."""
    return _Regather.apply(x_shard, weight_shard)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        batch, tokens, hidden, out = 3, pick(generator, 4, 6), 8, pick(generator, 9, 11)
        upstream = one_each(tp, generator, batch, tokens * tp, out)
        shards = one_each(tp, generator, batch, tokens, hidden)
        cases.append(Case(tp, tuple(map(per_rank, (upstream, shards, one_each(tp, generator, out, hidden))))))
    return cases


REGATHER_LINEAR = Exercise(
    number="10.6",
    name="regather_linear",
    points=20,
    difficulty=3,
    minutes=20,
    reference=regather_linear,
    cases=_cases,
    observe=with_costs,
    ranks=True,
    mutants=MUTANTS,
)
