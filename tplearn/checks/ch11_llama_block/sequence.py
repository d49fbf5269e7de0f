"""Exercise 11.4: the block between own tokens, its norms' gradients summed in one message."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch11_llama_block.drive import on_own_tokens
from tplearn.checks.ch11_llama_block.parts import HIDDEN, Weights, attention, mlp, norm, weights
from tplearn.checks.ch11_llama_block.sequence_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each
from tplearn.parallel import copy_to_group, gather_sequence, reduce_scatter_sequence
from tplearn.ranks import per_rank


def sp_block(x_shard: Tensor, w: Weights) -> Tensor:
    """x_shard: [batch, seq/p, hidden], own tokens; w: this rank's weights → as x_shard."""
    norm_1, norm_2 = copy_to_group(torch.stack([w["norm_1"], w["norm_2"]]))
    h = x_shard + reduce_scatter_sequence(attention(gather_sequence(norm(x_shard, norm_1)), w))
    return h + reduce_scatter_sequence(mlp(gather_sequence(norm(h, norm_2)), w))


def _cases(generator: Generator) -> list[Case]:
    """Batch and own tokens divide by the ranks, so that mistaken cuts come out even.

    Two tokens at least: over a single one the softmax is 1, and the gradient of q is nothing but rounding.
    """
    cases = []
    for tp, batch, own in ((1, 3, 2), (2, 6, 2), (3, 6, 3), (4, 8, 4)):
        x, upstream = (one_each(tp, generator, batch, own, HIDDEN) for _ in range(2))
        cases.append(Case(tp, tuple(map(per_rank, (upstream, x, weights(generator, tp))))))
    return cases


SP_BLOCK = Exercise(
    number="11.4",
    name="sp_block",
    points=15,
    difficulty=3,
    minutes=15,
    reference=sp_block,
    cases=_cases,
    observe=on_own_tokens,
    ranks=True,
    mutants=MUTANTS,
)
