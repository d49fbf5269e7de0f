"""Exercise 10.6: a column-parallel layer that keeps its own tokens only, and gathers again in the backward pass."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.observers import with_kept_bytes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import gather_sequence
from tplearn.parallel.collectives import own_shard, plain_all_gather, plain_all_reduce, plain_reduce_scatter
from tplearn.parallel.place import Place
from tplearn.ranks import per_rank


class _Regather(Function):
    """Keeps x_shard and the weight. `wrong` names what a mutant does otherwise."""

    @staticmethod
    def forward(ctx, x_shard: Tensor, weight_shard: Tensor, wrong: str) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(x_shard, weight_shard)
        ctx.wrong = wrong
        return F.linear(_gathered(x_shard), weight_shard)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        x_shard, weight_shard = ctx.saved_tensors
        place, summand = Place.of(), grad_output @ weight_shard  # [batch, seq, out/p] -> [batch, seq, hidden]
        if ctx.wrong == "own tokens only":
            x, grad = x_shard, own_shard(grad_output, 1, place)
        else:
            x, grad = _gathered(x_shard), grad_output
        grad_weight = grad.flatten(0, 1).T @ x.flatten(0, 1)
        if place.world_size == 1:
            grad_x = summand
        elif ctx.wrong == "own slice":
            grad_x = own_shard(summand, 1, place)
        elif ctx.wrong == "all-reduce":
            grad_x = own_shard(plain_all_reduce(summand, place), 1, place)
        else:
            grad_x = plain_reduce_scatter(summand, 1, place)
        return grad_x, grad_weight, None


def _gathered(x_shard: Tensor) -> Tensor:
    return plain_all_gather(x_shard, 1, Place.of()) if dist.get_world_size() > 1 else x_shard


def regather_linear(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    """x_shard: [batch, seq/p, hidden]; weight_shard: [out/p, hidden] -> [batch, seq, out/p]."""
    return _Regather.apply(x_shard, weight_shard, "")


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        shards = [randn(generator, 2, 3, 8) for _ in range(tp)]
        weights = [randn(generator, 5, 8) for _ in range(tp)]
        upstream = [randn(generator, 2, 3 * tp, 5) for _ in range(tp)]
        cases.append(Case(tp, (per_rank(upstream), per_rank(shards), per_rank(weights))))
    return cases


def _keeps_the_gathered(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    return F.linear(gather_sequence(x_shard, dim=1), weight_shard)


def _own_tokens_only(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    return _Regather.apply(x_shard, weight_shard, "own tokens only")


def _own_slice(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    return _Regather.apply(x_shard, weight_shard, "own slice")


def _all_reduce_then_cut(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    return _Regather.apply(x_shard, weight_shard, "all-reduce")


def _gathered_by_batch(x_shard: Tensor, weight_shard: Tensor) -> Tensor:
    return F.linear(gather_sequence(x_shard, dim=0), weight_shard)


REGATHER_LINEAR = Exercise(
    number="10.6",
    name="regather_linear",
    points=20,
    difficulty=3,
    minutes=20,
    reference=regather_linear,
    cases=_cases,
    observe=with_kept_bytes,
    ranks=True,
    mutants=(
        Mutant(
            "keeps the gathered tokens",
            _keeps_the_gathered,
            "Numbers and gradients are right, but the gathered tokens, [batch, seq, hidden], stay in memory until the "
            "backward pass: p times your shard. That is sbh(4 + 30/t) for a layer, not 34/t.",
            "what is saved for backward. Save x_shard, and gather it again there.",
        ),
        Mutant(
            "own tokens only",
            _own_tokens_only,
            "The weight's gradient comes from this rank's tokens alone. The rows of this weight live on this rank and "
            "nowhere else, and they met every token: the gradient needs all of them.",
            "the backward pass: gather x_shard again before it meets grad_output.",
        ),
        Mutant(
            "own slice of own summand",
            _own_slice,
            "The gradient of x_shard lacks the other ranks' summands. Each rank used these tokens for its own "
            "outputs, so each holds a part of their gradient.",
            "the way from [batch, seq, hidden] to [batch, seq/p, hidden] in backward: a reduce-scatter.",
        ),
        Mutant(
            "all-reduce, then cut",
            _all_reduce_then_cut,
            "The numbers are right, the traffic is not: an all-reduce sends every rank the gradients of all tokens, "
            "and you keep your own. A reduce-scatter does it with half the bytes.",
            "the ledger due is one all_gather forward, and one all_gather and one reduce_scatter backward.",
        ),
        Mutant(
            "gathered along the batch",
            _gathered_by_batch,
            "You gathered along dim 0: the result has p times the batch, and each text a p-th of its tokens.",
            "the dim of the all-gather. In [batch, seq, hidden] the sequence is dim 1.",
        ),
    ),
)
