"""Exercise 11.2: a Llama block from norms, f, g and the two halves between their cuts."""

import torch
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import HIDDEN, Weights, attention, mlp, norm, seen_of_block, weights
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group
from tplearn.ranks import per_rank


def tp_block(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden], the same on every rank; w: this rank's weights → as x."""
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return h + reduce_from_group(mlp(copy_to_group(norm(h, w["norm_2"])), w))


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        x, upstream = (randn(generator, 2, 3, HIDDEN) for _ in range(2))
        cases.append(Case(tp, (upstream, x, per_rank(weights(generator, tp)))))
    return cases


def _residual_before_the_reduce(x: Tensor, w: Weights) -> Tensor:
    h = reduce_from_group(x + attention(copy_to_group(norm(x, w["norm_1"])), w))
    return reduce_from_group(h + mlp(copy_to_group(norm(h, w["norm_2"])), w))


def _f_missing(x: Tensor, w: Weights) -> Tensor:
    h = x + reduce_from_group(attention(norm(x, w["norm_1"]), w))
    return h + reduce_from_group(mlp(norm(h, w["norm_2"]), w))


def _f_before_the_norm(x: Tensor, w: Weights) -> Tensor:
    h = x + reduce_from_group(attention(norm(copy_to_group(x), w["norm_1"]), w))
    return h + reduce_from_group(mlp(norm(copy_to_group(h), w["norm_2"]), w))


def _residual_through_f(x: Tensor, w: Weights) -> Tensor:
    x = copy_to_group(x)
    h = copy_to_group(x + reduce_from_group(attention(norm(x, w["norm_1"]), w)))
    return h + reduce_from_group(mlp(norm(h, w["norm_2"]), w))


def _one_reduce_for_both(x: Tensor, w: Weights) -> Tensor:
    summand = attention(copy_to_group(norm(x, w["norm_1"])), w) + mlp(copy_to_group(norm(x, w["norm_2"])), w)
    return x + reduce_from_group(summand)


def _second_norm_reads_x(x: Tensor, w: Weights) -> Tensor:
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return h + reduce_from_group(mlp(copy_to_group(norm(x, w["norm_2"])), w))


def _second_residual_is_x(x: Tensor, w: Weights) -> Tensor:
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return x + reduce_from_group(mlp(copy_to_group(norm(h, w["norm_2"])), w))


def _no_residual(x: Tensor, w: Weights) -> Tensor:
    h = reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return reduce_from_group(mlp(copy_to_group(norm(h, w["norm_2"])), w))


def _norm_of_a_share(x: Tensor, w: Weights) -> Tensor:
    def share_norm(x: Tensor, weight: Tensor) -> Tensor:
        return gather_from_group(norm(scatter_to_group(x, -1), scatter_to_group(weight)), -1)

    h = x + reduce_from_group(attention(copy_to_group(share_norm(x, w["norm_1"])), w))
    return h + reduce_from_group(mlp(copy_to_group(share_norm(h, w["norm_2"])), w))


TP_BLOCK = Exercise(
    number="11.2",
    name="tp_block",
    points=15,
    difficulty=2,
    minutes=15,
    reference=tp_block,
    cases=_cases,
    observe=seen_of_block,
    ranks=True,
    mutants=(
        Mutant(
            "residual before the reduce",
            _residual_before_the_reduce,
            "You added the residual to a summand, R + P, and the all-reduce then added it once for each rank: the "
            "result holds tp residuals where one is due. At tp = 1 that cannot be seen "
            "(mirage-project/mirage#722).",
            "the two residuals: before g or after it?",
        ),
        Mutant(
            "f missing",
            _f_missing,
            "The result is right. But the gradients of x and of both norms lack what the other ranks' heads and "
            "columns have to say: between a norm and a column cut stands f, whose backward is an all-reduce.",
            "copy_to_group, between the norm and the half that reads it. Due backward: two all_reduce.",
        ),
        Mutant(
            "f before the norm",
            _f_before_the_norm,
            "Result, gradient of x and ledger are right. But what flows back through the norm is still a summand, and "
            "so is the gradient of the norm's weight: every rank holds another one, and the copies drift apart with "
            "the first step.",
            "the order of norm and copy_to_group: f belongs behind the norm, next to the cut.",
        ),
        Mutant(
            "residual through f",
            _residual_through_f,
            "The residual branches off behind f. Its gradient is finished, the same on every rank, and f's all-reduce "
            "adds it up all the same: it counts tp times.",
            "where the residual branches off: before the norm, and before f.",
        ),
        Mutant(
            "one reduce for both halves",
            _one_reduce_for_both,
            "P + P is P, so one all-reduce is enough where both halves read x. That is GPT-J's block. In a Llama the "
            "MLP reads x + attention, and its norm needs that sum finished: two all-reduces.",
            "the input of the second norm.",
        ),
        Mutant(
            "second norm reads x",
            _second_norm_reads_x,
            "Your MLP reads norm(x), as attention does. It must read the norm of what attention and the first "
            "residual have made of x.",
            "the input of the second norm: h = x + attention, not x.",
        ),
        Mutant(
            "second residual is x",
            _second_residual_is_x,
            "The second residual adds x, so attention's result reaches the end through the MLP only. The stream goes "
            "on from h = x + attention.",
            "the second residual.",
        ),
        Mutant(
            "no residuals",
            _no_residual,
            "The residuals are missing. Each half adds to the stream: its input plus its result.",
            "what is added to the result of each half.",
        ),
        Mutant(
            "norm of a share",
            _norm_of_a_share,
            "You cut the norm: each rank divided by the mean square of its own share of the hidden numbers, with its "
            "share of the weight. The norm divides by the mean over all of them, so it is not cut, and its weight is "
            "a copy on every rank.",
            "the two norms: x whole, weight whole, no collective.",
        ),
    ),
)
