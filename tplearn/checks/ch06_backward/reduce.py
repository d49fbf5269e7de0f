"""Exercise 06.3: Megatron's g, the sum, whose backward is a copy."""

import torch
from torch import Tensor

from tplearn.checks.ch06_backward.inputs import SIZES, averaged, pair, same, summed, summed_in_place
from tplearn.checks.ch06_backward.observe import through_autograd
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each, randn
from tplearn.ranks import per_rank


def reduce_from_group(x: Tensor) -> Tensor:
    """x: any shape, this rank's summand → the sum over ranks, on every rank. Backward: the gradient as it is."""
    return pair(summed, same)(x)


def _cases(generator: torch.Generator) -> list[Case]:
    """A summand for each rank; the sum is one tensor, so the same gradient arrives everywhere."""
    return [
        Case(tp, (per_rank([[part] for part in one_each(tp, generator, 3, 4)]), randn(generator, 3, 4))) for tp in SIZES
    ]


REDUCE_FROM_GROUP = Exercise(
    number="06.3",
    name="reduce_from_group",
    points=10,
    difficulty=2,
    minutes=8,
    reference=reduce_from_group,
    cases=_cases,
    observe=through_autograd,
    ranks=True,
    mutants=(
        Mutant(
            "both all-reduce",
            pair(summed, summed),
            "You sum on both ways, so every gradient below is tp times too large. The sum y is one tensor, and every "
            "rank has its whole gradient already: adding the copies up counts one loss tp times.",
            "backward: return grad_output.",
        ),
        Mutant(
            "input changed in place",
            pair(summed_in_place, same),
            "The sum is right, but your all_reduce wrote it into x itself. Whoever still needs the summand, the layer "
            "before for its own gradient or a residual, now finds the sum there.",
            "a copy in forward: total = x.clone().",
        ),
        Mutant(
            "plain all_reduce on a copy",
            summed,
            "The numbers are right, by luck. autograd does not know dist.all_reduce: it saw clone() and nothing else, "
            "and sends the gradient on as if no sum had happened. Here that is what is due. torch warns of it and "
            "announces that it will not stay so (pytorch/pytorch#121587).",
            "an autograd Function: the all_reduce inside its forward, the gradient's way in its backward.",
        ),
        Mutant(
            "plain all_reduce",
            summed_in_place,
            "You called dist.all_reduce on x itself. It overwrites x behind autograd's back: the gradient goes on as "
            "if no sum had happened, and an op that saved x (exp, for one) computes its gradient from the sum "
            "(pytorch/pytorch#121587).",
            "an autograd Function, and a copy in its forward.",
        ),
        Mutant(
            "mean for sum",
            pair(averaged, same),
            "You divided the sum by the number of ranks. The ranks hold parts of one result, as row-parallel layers "
            "leave them, not copies of it.",
            "the division in forward.",
        ),
        Mutant(
            "averaged gradient",
            pair(summed, averaged),
            "The numbers are right: the mean of equal gradients is the gradient. But you paid an all-reduce for it. "
            "Every rank holds it already.",
            "the ledger of the backward pass: it should be empty.",
        ),
        Mutant(
            "f and g swapped",
            pair(same, summed),
            "You wrote f: nothing on the way forward and the sum on the way back. g is its transpose: the sum forward, "
            "nothing back.",
            "which of the two methods holds the all-reduce.",
        ),
    ),
)
