"""Exercise 10.2: an MLP between tokens and tokens: all-gather, column, row, reduce-scatter."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.drive import with_upstream
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import (
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.ranks import per_rank


def _summand(x: Tensor, up_shard: Tensor, down_shard: Tensor) -> Tensor:
    return F.linear(F.gelu(F.linear(x, up_shard)), down_shard)


def sp_mlp(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    """[batch, seq/p, hidden], [ffn/p, hidden], [hidden, ffn/p], [hidden] -> [batch, seq/p, hidden]."""
    x = gather_sequence(x_shard, dim=1)
    return reduce_scatter_sequence(_summand(x, up_shard, down_shard), dim=1) + bias


def _cases(generator: torch.Generator) -> list[Case]:
    cases, hidden = [], 12
    for tp in (1, 2, 3, 4):
        sequence = 2 * tp * tp  # seq/p divides by p again, so that mistaken cuts come out even and are told by name
        shards = [randn(generator, 2, sequence // tp, hidden) for _ in range(tp)]
        upstream = [randn(generator, 2, sequence // tp, hidden) for _ in range(tp)]
        ups = [randn(generator, 3, hidden) for _ in range(tp)]
        downs = [randn(generator, hidden, 3) for _ in range(tp)]
        bias = 20 * randn(generator, hidden)
        cases.append(Case(tp, (per_rank(upstream), per_rank(shards), per_rank(ups), per_rank(downs), bias)))
    return cases


def _used_alike(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    x = gather_from_group(x_shard, dim=1)
    return reduce_scatter_sequence(_summand(x, up_shard, down_shard), dim=1) + bias


def _bias_in_every_summand(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    summand = _summand(gather_sequence(x_shard, dim=1), up_shard, down_shard) + bias
    return reduce_scatter_sequence(summand, dim=1)


def _gathered_by_batch(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    x = gather_sequence(x_shard, dim=0)
    return reduce_scatter_sequence(_summand(x, up_shard, down_shard), dim=1) + bias


def _scattered_by_hidden(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    summand = _summand(gather_sequence(x_shard, dim=1), up_shard, down_shard)
    return reduce_scatter_sequence(summand, dim=-1) + bias.chunk(dist.get_world_size())[dist.get_rank()]


def _own_part_of_own_summand(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    summand = _summand(gather_sequence(x_shard, dim=1), up_shard, down_shard)
    return summand.chunk(dist.get_world_size(), dim=1)[dist.get_rank()] + bias


def _all_reduce_then_cut(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    y = reduce_from_group(_summand(gather_sequence(x_shard, dim=1), up_shard, down_shard))
    return scatter_to_group(y, dim=1) + bias


SP_MLP = Exercise(
    number="10.2",
    name="sp_mlp",
    points=15,
    difficulty=2,
    minutes=12,
    reference=sp_mlp,
    cases=_cases,
    observe=with_upstream,
    ranks=True,
    mutants=(
        Mutant(
            "gathered as if used alike",
            _used_alike,
            "The result is right, the gradient of x_shard is not: your gather sends back this rank's own slice. But "
            "each rank used the gathered tokens for its own columns, so every rank holds a summand of the gradient, "
            "and they must be added: a reduce-scatter.",
            "gather_from_group or gather_sequence: their backward passes differ.",
        ),
        Mutant(
            "bias in every summand",
            _bias_in_every_summand,
            "Your result minus the truth is (tp − 1) · bias. Every rank added the bias to its summand, and the "
            "reduce-scatter added the summands up.",
            "where the bias enters: after the reduce-scatter, each rank to its own tokens.",
        ),
        Mutant(
            "gathered along the batch",
            _gathered_by_batch,
            "You gathered along dim 0, the batch: tokens of one text now stand there as p texts. Your result has p "
            "times the batch and a p-th of the tokens.",
            "the dim of the all-gather. In [batch, seq, hidden] the sequence is dim 1.",
        ),
        Mutant(
            "scattered along hidden",
            _scattered_by_hidden,
            "You scattered along the last dimension: each rank has all tokens and a part of each. Right is: some "
            "tokens, whole.",
            "the dim of the reduce-scatter. It must be that of the all-gather.",
        ),
        Mutant(
            "no sum",
            _own_part_of_own_summand,
            "Each rank kept its tokens of its own summand. The other ranks' summands of these tokens are missing.",
            "how the result gets from [batch, seq, hidden] to [batch, seq/p, hidden].",
        ),
        Mutant(
            "all-reduce, then cut",
            _all_reduce_then_cut,
            "The numbers are right, the traffic is not: you summed everything on every rank and threw most of it "
            "away. An all-reduce is a reduce-scatter and an all-gather; the second half was not needed.",
            "the ledger due is one all_gather and one reduce_scatter forward, and the same backward.",
        ),
    ),
)
