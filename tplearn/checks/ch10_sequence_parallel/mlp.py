"""Exercise 10.2: half a layer between own tokens: all-gather, column, row, reduce-scatter, own mask, residual."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.mlp_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.checks.live import with_upstream
from tplearn.parallel import gather_sequence, reduce_scatter_sequence
from tplearn.ranks import per_rank


def sp_mlp(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, keep: Tensor) -> Tensor:
    """x_shard: [batch, seq/p, hidden]; up_shard: [ffn/p, hidden]; down_shard: [hidden, ffn/p] → as x_shard.

    keep: [batch, seq, hidden], bool: what the dense model's dropout keeps.
    """
    partial = F.linear(F.gelu(F.linear(gather_sequence(x_shard), up_shard)), down_shard)
    own = keep.chunk(dist.get_world_size(), dim=1)[dist.get_rank()]
    return x_shard + reduce_scatter_sequence(partial) * own / 0.75


def _cases(generator: Generator) -> list[Case]:
    cases, batch, hidden = [], 3, 12
    for tp in (1, 2, 3, 4):
        own, ffn = 2 * tp, pick(generator, 4, 5)  # own tokens divide by p once more: a mistaken cut comes out even
        keep = torch.rand(batch, own * tp, hidden, generator=generator) < 0.75
        upstream, x = (one_each(tp, generator, batch, own, hidden) for _ in range(2))
        weights = one_each(tp, generator, ffn, hidden), one_each(tp, generator, hidden, ffn)
        cases.append(Case(tp, (*map(per_rank, (upstream, x, *weights)), keep)))
    return cases


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
    mutants=MUTANTS,
)
