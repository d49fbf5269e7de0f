"""Exercise 06.4: join the shards, for a tensor that all ranks use alike; the backward is a cut."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.inputs import joined, own, pair, reduce_scattered
from tplearn.checks.ch06_backward.observe import through_autograd
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each, randn
from tplearn.ranks import per_rank


def gather_from_group(x: Tensor, dim: int) -> Tensor:
    """x: [..., n, ...] → [..., p·n, ...], the ranks' x side by side along dim. Backward: take your own part."""
    return pair(lambda x: joined(x, dim), lambda grad: own(grad, dim))(x)


def _cases(generator: torch.Generator) -> list[Case]:
    """A shard for each rank; the whole is used alike everywhere, so the same gradient arrives everywhere."""
    cases = []
    for tp, dim in ((2, 1), (3, 0), (4, 1)):
        whole = [4, 4]
        whole[dim] = 4 * tp
        shards = [[shard] for shard in one_each(tp, generator, 4, 4)]
        cases.append(Case(tp, (per_rank(shards), randn(generator, *whole), (dim,))))
    return cases


def _first_part(x: Tensor, dim: int) -> Tensor:
    return pair(lambda x: joined(x, dim), lambda grad: grad.chunk(dist.get_world_size(), dim)[0].contiguous())(x)


def _always_dim_0(x: Tensor, dim: int) -> Tensor:
    return pair(lambda x: joined(x, 0), lambda grad: own(grad, 0))(x)


def _sum_back(x: Tensor, dim: int) -> Tensor:
    return pair(lambda x: joined(x, dim), lambda grad: reduce_scattered(grad, dim))(x)


def _mean_back(x: Tensor, dim: int) -> Tensor:
    return pair(lambda x: joined(x, dim), lambda grad: reduce_scattered(grad, dim) / dist.get_world_size())(x)


def _whole_gradient(x: Tensor, dim: int) -> Tensor:
    return pair(lambda x: joined(x, dim), lambda grad: grad)(x)


GATHER_FROM_GROUP = Exercise(
    number="06.4",
    name="gather_from_group",
    points=10,
    difficulty=2,
    minutes=12,
    reference=gather_from_group,
    cases=_cases,
    observe=through_autograd,
    ranks=True,
    mutants=(
        Mutant(
            "plain all_gather cuts the graph",
            joined,
            "The whole is right, and no gradient comes back. all_gather wrote it into fresh tensors, which autograd "
            "does not connect with x. On real ranks a training run goes on like that, and the layers below never "
            "learn (pytorch/pytorch#121587).",
            "an autograd Function around the all_gather.",
        ),
        Mutant(
            "summed on the way back",
            _sum_back,
            "Your gradient is tp times too large: you summed over ranks before you cut. The whole is used alike on "
            "every rank, so each has its whole gradient; p copies of it are not p gradients. Where ranks use the "
            "whole differently, your backward is the right one: see the next exercise.",
            "backward: it needs no message.",
        ),
        Mutant(
            "averaged on the way back",
            _mean_back,
            "The numbers are right: the mean of equal gradients is the gradient. But you paid a reduce-scatter for it. "
            "Each rank can cut its own part alone.",
            "the ledger of the backward pass: it should be empty.",
        ),
        Mutant(
            "rank 0's part for everybody",
            _first_part,
            "Every rank took the first part of the gradient, which belongs to rank 0. Rank r's shard stands at place r "
            "of the whole, so its gradient does too.",
            "the index after chunk: dist.get_rank().",
        ),
        Mutant(
            "always along dim 0",
            _always_dim_0,
            "The shards are put one below the other, whatever dim says. all_gather knows nothing of dimensions: it "
            "brings you p tensors. You say along which dimension they are joined, and cut again.",
            "torch.cat(shards, dim), and chunk(p, dim).",
        ),
        Mutant(
            "whole gradient",
            _whole_gradient,
            "You returned the gradient of the whole. x is only this rank's shard, and its gradient has the shard's "
            "shape.",
            "backward: cut the gradient along dim.",
        ),
    ),
)
