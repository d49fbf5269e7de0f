"""Exercise 11.4: the same block between own tokens, its norms' gradients summed in one message."""

import torch
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import HIDDEN, Weights, attention, mlp, norm, seen_of_block, weights
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.ranks import per_rank


def sp_block(x_shard: Tensor, w: Weights) -> Tensor:
    """x_shard: [batch, seq/p, hidden], own tokens; w: this rank's weights → as x_shard."""
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    return _between(x_shard, w, norm_1, norm_2)


def _between(x_shard: Tensor, w: Weights, norm_1: Tensor, norm_2: Tensor) -> Tensor:
    h = x_shard + reduce_scatter_sequence(attention(gather_sequence(norm(x_shard, norm_1)), w))
    return h + reduce_scatter_sequence(mlp(gather_sequence(norm(h, norm_2)), w))


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        x, upstream = ([randn(generator, 2, tp, HIDDEN) for _ in range(tp)] for _ in range(2))
        cases.append(Case(tp, (per_rank(upstream), per_rank(x), per_rank(weights(generator, tp)))))
    return cases


def _not_synced(x_shard: Tensor, w: Weights) -> Tensor:
    return _between(x_shard, w, w["norm_1"], w["norm_2"])


def _two_messages(x_shard: Tensor, w: Weights) -> Tensor:
    return _between(x_shard, w, copy_to_group(w["norm_1"]), copy_to_group(w["norm_2"]))


def _used_alike(x_shard: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    h = x_shard + reduce_scatter_sequence(attention(gather_from_group(norm(x_shard, norm_1), 1), w))
    return h + reduce_scatter_sequence(mlp(gather_from_group(norm(h, norm_2), 1), w))


def _by_batch(x_shard: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    h = x_shard + reduce_scatter_sequence(attention(gather_sequence(norm(x_shard, norm_1), 0), w), 0)
    return h + reduce_scatter_sequence(mlp(gather_sequence(norm(h, norm_2), 0), w), 0)


def _reduced_then_cut(x_shard: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    h = x_shard + scatter_to_group(reduce_from_group(attention(gather_sequence(norm(x_shard, norm_1)), w)), 1)
    return h + scatter_to_group(reduce_from_group(mlp(gather_sequence(norm(h, norm_2)), w)), 1)


def _not_gathered(x_shard: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    h = x_shard + reduce_from_group(attention(copy_to_group(norm(x_shard, norm_1)), w))
    return h + reduce_from_group(mlp(copy_to_group(norm(h, norm_2)), w))


def _residual_before_the_reduce(x_shard: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    x = gather_sequence(x_shard)
    h = reduce_scatter_sequence(x + attention(norm(x, norm_1), w))
    x = gather_sequence(h)
    return reduce_scatter_sequence(x + mlp(norm(x, norm_2), w))


SP_BLOCK = Exercise(
    number="11.4",
    name="sp_block",
    points=15,
    difficulty=3,
    minutes=15,
    reference=sp_block,
    cases=_cases,
    observe=seen_of_block,
    ranks=True,
    mutants=(
        Mutant(
            "norm gradients not synced",
            _not_synced,
            "Result and gradient of x_shard are right. But each copy of a norm's weight has met its own tokens only, "
            "and its gradient is a summand. After one step the copies differ (NVIDIA/Megatron-LM#1446).",
            "the two norms' weights: what goes into every rank's own computation passes through f.",
        ),
        Mutant(
            "a message for each norm",
            _two_messages,
            "All numbers are right. But the two norms are summed in two messages, where one of twice the length is "
            "due. A model of 80 layers has 161 norms; small messages cost their latency, not their bytes.",
            "torch.stack both weights, and pass them through copy_to_group once.",
        ),
        Mutant(
            "gathered as if used alike",
            _used_alike,
            "The result is right, the gradients are not: your gather's backward takes this rank's own slice of its "
            "own gradient. Each rank used the gathered tokens for other heads and columns, so the gradients are "
            "summands, and a reduce-scatter is due.",
            "gather_from_group or gather_sequence: their backward passes differ.",
        ),
        Mutant(
            "gathered along the batch",
            _by_batch,
            "You gathered and scattered along dim 0, the batch. The MLP does not mind, attention does: each text is "
            "cut into tp short ones that do not see each other.",
            "the dim of gather and scatter. In [batch, seq, hidden] the sequence is dim 1.",
        ),
        Mutant(
            "all-reduce, then cut",
            _reduced_then_cut,
            "The numbers are right. But an all-reduce brings every rank all tokens, and you keep your own and throw "
            "the rest away: twice the bytes of the reduce-scatter that is due. The backward pass pays too.",
            "the ledger: two all_gather and two reduce_scatter each way, and no large all_reduce.",
        ),
        Mutant(
            "tokens not gathered",
            _not_gathered,
            "You ran the block of 11.2 on own tokens: f and g. Each rank's heads then see only this rank's tokens, "
            "and the all-reduce adds up summands of different tokens.",
            "what stands between the norm and attention: every head needs every token.",
        ),
        Mutant(
            "residual before the reduce",
            _residual_before_the_reduce,
            "You gathered before the norm, and added the gathered residual to the summand. The reduce-scatter counts "
            "it once for each rank: the result holds tp residuals.",
            "the residual stays what it is: own tokens, added behind the reduce-scatter.",
        ),
    ),
)
