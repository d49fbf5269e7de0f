"""Exercise 06.5: join the sequence, for ranks that go on differently; the backward is a reduce-scatter."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.inputs import joined, own, pair, reduce_scattered, summed
from tplearn.checks.ch06_backward.observe import through_autograd
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def gather_sequence(x: Tensor) -> Tensor:
    """x: [batch, sequence/p, hidden] → [batch, sequence, hidden]. Backward: part r of the sum of the gradients."""
    return pair(lambda x: joined(x, 1), lambda grad: reduce_scattered(grad, 1))(x)


def _cases(generator: torch.Generator) -> list[Case]:
    """A part of the sequence for each rank, and a gradient of the whole for each, because each uses it differently."""
    cases = []
    for tp, part in ((2, 2), (3, 2), (4, 1)):
        parts = [[x] for x in one_each(tp, generator, 2, part, 3)]
        cases.append(Case(tp, (per_rank(parts), per_rank(one_each(tp, generator, 2, tp * part, 3)))))
    return cases


def _cut_back(x: Tensor) -> Tensor:
    return pair(lambda x: joined(x, 1), lambda grad: own(grad, 1))(x)


def _all_reduce_then_cut(x: Tensor) -> Tensor:
    return pair(lambda x: joined(x, 1), lambda grad: own(summed(grad), 1))(x)


def _mean_back(x: Tensor) -> Tensor:
    return pair(lambda x: joined(x, 1), lambda grad: reduce_scattered(grad, 1) / dist.get_world_size())(x)


def _torn_batch(x: Tensor) -> Tensor:
    def scattered(grad: Tensor) -> Tensor:
        parts = list(grad.contiguous().view(dist.get_world_size(), *x.shape))
        mine = torch.empty_like(parts[0])
        dist.reduce_scatter(mine, parts)
        return mine

    return pair(lambda x: joined(x, 1), scattered)(x)


def _along_the_batch(x: Tensor) -> Tensor:
    return pair(lambda x: joined(x, 0), lambda grad: reduce_scattered(grad, 0))(x)


GATHER_SEQUENCE = Exercise(
    number="06.5",
    name="gather_sequence",
    points=15,
    difficulty=3,
    minutes=15,
    reference=gather_sequence,
    cases=_cases,
    observe=through_autograd,
    ranks=True,
    mutants=(
        Mutant(
            "cut without a sum",
            _cut_back,
            "Each rank cut its part out of its own gradient and threw the rest away. But every rank used your tokens, "
            "each with its own columns, so every rank has a summand of their gradient. That backward belongs to "
            "gather_from_group, where all ranks use the whole alike.",
            "backward: sum over ranks, then cut, which is one collective.",
        ),
        Mutant(
            "all-reduce, then cut",
            _all_reduce_then_cut,
            "The numbers are right, the bill is not. You summed the whole gradient on every rank and kept a p-th of "
            "it. A reduce-scatter is just that half of an all-reduce which you need: half the bytes on the wire.",
            "the ledger of the backward pass: one reduce_scatter.",
        ),
        Mutant(
            "mean for sum",
            _mean_back,
            "You averaged the gradients. They are summands of one gradient, not estimates of it; yours is tp times "
            "too small.",
            "the division after reduce_scatter.",
        ),
        Mutant(
            "torn batches",
            _torn_batch,
            "reduce_scatter cuts memory into p blocks, and you gave it the gradient as it lies: [batch, sequence, "
            "hidden]. So rank 0 got the first batches instead of the first tokens of every batch. With batch 1 it "
            "would have been right.",
            "grad.chunk(p, dim=1): part r must hold what rank r is to get, the tokens r of every batch.",
        ),
        Mutant(
            "joined along the batch",
            _along_the_batch,
            "The parts are joined along dim 0, which is the batch. Your result has p times as many texts of the old "
            "length, where p times as many tokens are due.",
            "torch.cat(parts, dim=1).",
        ),
        Mutant(
            "plain all_gather cuts the graph",
            lambda x: joined(x, 1),
            "The whole sequence is right, and no gradient comes back: all_gather wrote it into fresh tensors, which "
            "autograd does not connect with x (pytorch/pytorch#121587).",
            "an autograd Function around the all_gather.",
        ),
    ),
)
