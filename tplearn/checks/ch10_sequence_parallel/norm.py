"""Exercise 10.3: RMSNorm on a rank's own tokens; the weight's gradient is summed over the ranks."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from tplearn.checks.ch10_sequence_parallel.norm_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick, randn
from tplearn.checks.live import with_upstream
from tplearn.parallel import copy_to_group
from tplearn.ranks import per_rank


def norm_on_shards(x_shard: Tensor, weight: Tensor) -> Tensor:
    """x_shard: [batch, seq/p, hidden]; weight: [hidden], the same on every rank → [batch, seq/p, hidden]."""
    return F.rms_norm(x_shard, weight.shape, copy_to_group(weight), 1e-6)


def _cases(generator: Generator) -> list[Case]:
    cases, hidden = [], 6
    for tp in (1, 2, 3, 4):
        own = tp + 5  # tokens of a rank
        size = torch.ones(own, 1, dtype=torch.float64)
        size[pick(generator, 0, own - 1)] = 1e-2  # a token so small that the epsilon shows
        upstream, x = (one_each(tp, generator, 2, own, hidden) for _ in range(2))
        weight = randn(generator, hidden)
        shards = [shard * size for shard in x]
        cases.append(Case(tp, tuple(map(per_rank, (upstream, shards, [weight.clone() for _ in range(tp)])))))
    return cases


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
    mutants=MUTANTS,
)
