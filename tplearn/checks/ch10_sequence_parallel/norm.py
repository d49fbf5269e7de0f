"""Exercise 10.3: RMSNorm on a rank's own tokens; the weight's gradient is summed over the ranks."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.drive import with_upstream
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import copy_to_group, gather_sequence
from tplearn.ranks import per_rank

EPS = 1e-6


def norm_on_shards(x_shard: Tensor, weight: Tensor) -> Tensor:
    """x_shard: [batch, seq/p, hidden]; weight: [hidden], a copy on every rank -> [batch, seq/p, hidden]."""
    return F.rms_norm(x_shard, weight.shape, copy_to_group(weight), EPS)


def _cases(generator: torch.Generator) -> list[Case]:
    cases, hidden = [], 6
    for tp in (1, 2, 3, 4):
        shards = [randn(generator, 2, 3, hidden) for _ in range(tp)]
        upstream = [randn(generator, 2, 3, hidden) for _ in range(tp)]
        cases.append(Case(tp, (per_rank(upstream), per_rank(shards), randn(generator, hidden))))
    return cases


def _not_synced(x_shard: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x_shard, weight.shape, weight, EPS)


def _averaged(x_shard: Tensor, weight: Tensor) -> Tensor:
    share = weight / dist.get_world_size()
    same_value = share + (weight - share).detach()  # the weight, with a p-th of its gradient
    return F.rms_norm(x_shard, weight.shape, copy_to_group(same_value), EPS)


def _x_summed_too(x_shard: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(copy_to_group(x_shard), weight.shape, copy_to_group(weight), EPS)


def _fetched(x_shard: Tensor, weight: Tensor) -> Tensor:
    y = F.rms_norm(gather_sequence(x_shard, dim=1), weight.shape, copy_to_group(weight), EPS)
    return y.chunk(dist.get_world_size(), dim=1)[dist.get_rank()].clone()


def _weight_summed_forward(x_shard: Tensor, weight: Tensor) -> Tensor:
    total = weight.detach().clone()
    if dist.get_world_size() > 1:
        dist.all_reduce(total)
    return F.rms_norm(x_shard, weight.shape, weight + (total / dist.get_world_size() - weight).detach(), EPS)


NORM_ON_SHARDS = Exercise(
    number="10.3",
    name="norm_on_shards",
    points=10,
    difficulty=2,
    minutes=10,
    reference=norm_on_shards,
    cases=_cases,
    observe=with_upstream,
    ranks=True,
    mutants=(
        Mutant(
            "gradient not synced",
            _not_synced,
            "Each rank's weight gradient comes from its own tokens alone, so the ranks differ, and after the first "
            "step they hold different weights (NVIDIA/Megatron-LM#1446). The dense gradient is the sum over all "
            "tokens, so over all ranks.",
            "what comes back to weight. Its copies are one parameter: f from chapter 06.",
        ),
        Mutant(
            "gradient averaged",
            _averaged,
            "Your weight gradient is the right one divided by tp. A mean is right over data-parallel ranks, where "
            "each loss is a mean over its own batch. Here all ranks work on parts of one loss: sum "
            "(EleutherAI/gpt-neox#1257).",
            "the reduce op, or a division by the world size.",
        ),
        Mutant(
            "gradient of x summed too",
            _x_summed_too,
            "You summed the gradient of x_shard over the ranks as well. These are different tokens on each rank: "
            "nothing is shared, and nothing may be added.",
            "which of the two arguments is a copy on every rank.",
        ),
        Mutant(
            "whole sequence fetched",
            _fetched,
            "The numbers are right, but you gathered all tokens to norm your own. A norm looks at one token at a "
            "time: nothing has to be fetched.",
            "the ledger due is one all_reduce of [hidden] numbers, in the backward pass.",
        ),
        Mutant(
            "weight synced, not its gradient",
            _weight_summed_forward,
            "You made the weights agree in the forward pass. They agree already; it is their gradients that differ, "
            "and they are still summands.",
            "the direction. The sum belongs into the backward pass.",
        ),
    ),
)
