"""Exercise 11.6: a block that carries the residual apart and leaves its MLP's summand to the next block's norm."""

import torch
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import HIDDEN, Weights, attention, mlp, norm, weights
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import copy_to_group, reduce_from_group
from tplearn.ranks import per_rank

Stream = tuple[Tensor, Tensor]


def fused_block(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    """summand: [batch, seq, hidden], P; residual: the same shape, R; w: this rank's weights → the same two, later."""
    return _block(residual + reduce_from_group(summand), w)


def _block(x: Tensor, w: Weights) -> Stream:
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return mlp(copy_to_group(norm(h, w["norm_2"])), w), h


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        summands = [randn(generator, 2, 3, HIDDEN) for _ in range(tp)]
        residual = randn(generator, 2, 3, HIDDEN)
        cases.append(Case(tp, (per_rank(summands), residual, per_rank(weights(generator, tp)))))
    return cases


def _residual_reduced(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    return _block(reduce_from_group(summand + residual), w)


def _not_reduced(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    return _block(residual + summand, w)


def _reduced_at_the_end(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    y, h = fused_block(summand, residual, w)
    return reduce_from_group(y), h


def _norm_without_residual(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    y = reduce_from_group(summand)
    x = residual + y
    h = x + reduce_from_group(attention(copy_to_group(norm(y, w["norm_1"])), w))
    return mlp(copy_to_group(norm(h, w["norm_2"])), w), h


def _old_residual(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    return fused_block(summand, residual, w)[0], residual


def _residual_before_attention(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    return fused_block(summand, residual, w)[0], residual + reduce_from_group(summand)


def _added_at_the_end(summand: Tensor, residual: Tensor, w: Weights) -> Stream:
    y, h = fused_block(summand, residual, w)
    return h + y, h


FUSED_BLOCK = Exercise(
    number="11.6",
    name="fused_block",
    points=15,
    difficulty=3,
    minutes=15,
    reference=fused_block,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "residual reduced too",
            _residual_reduced,
            "You added summand and residual and reduced their sum. The residual is R: the all-reduce counted it once "
            "for each rank. Only what is P may pass through g.",
            "the first line: reduce the summand, then add the residual.",
        ),
        Mutant(
            "summand not reduced",
            _not_reduced,
            "You took the summand for a finished result: R + P, and then a norm of it. Each rank went on with other "
            "numbers. The block before left its MLP unreduced; yours begins with that all-reduce.",
            "the first line. Two all_reduce are due forward, and the first is for the summand that came in.",
        ),
        Mutant(
            "reduced at the end as well",
            _reduced_at_the_end,
            "You reduced the MLP's result before you returned it. It is due as a summand: the next block reduces it, "
            "and would now add it up tp times. That makes three all-reduces where two are due.",
            "the first of the two results: P.",
        ),
        Mutant(
            "norm without the residual",
            _norm_without_residual,
            "Your first norm reads the MLP's result alone. It must read the stream: residual plus the reduced summand.",
            "what the first norm reads. Reduce, add, then normalise.",
        ),
        Mutant(
            "old residual",
            _old_residual,
            "You handed the residual on as it came. The next block adds its first sum to it, so this block's "
            "attention, and the MLP before it, would be forgotten.",
            "the second of the two results: the stream as it is after attention.",
        ),
        Mutant(
            "residual without attention",
            _residual_before_attention,
            "The residual that you return lacks this block's attention. The second norm reads it, and so must the "
            "next block.",
            "the second of the two results: the stream after attention, not before.",
        ),
        Mutant(
            "residual in the summand",
            _added_at_the_end,
            "You added the residual to the summand before you returned it, R + P, and returned it apart as well. The "
            "next block's all-reduce would count it tp times, and then add it once more.",
            "the first of the two results: the MLP's summand alone.",
        ),
    ),
)
