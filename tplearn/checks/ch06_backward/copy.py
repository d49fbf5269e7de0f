"""Exercise 06.2: Megatron's f, the copy, whose backward is a sum."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.inputs import SIZES, averaged, pair, same, summed, summed_in_place
from tplearn.checks.ch06_backward.observe import through_autograd
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each, randn
from tplearn.ranks import per_rank


def copy_to_group(x: Tensor) -> Tensor:
    """x: any shape, the same on every rank → x. Backward: the sum over ranks of the gradients that arrive."""
    return pair(same, summed)(x)


def _cases(generator: torch.Generator) -> list[Case]:
    """One x for all; every rank uses it in its own way, so a different gradient arrives at each."""
    return [Case(tp, ([randn(generator, 3, 4)], per_rank(one_each(tp, generator, 3, 4)))) for tp in SIZES]


def _from_rank_0(x: Tensor) -> Tensor:
    def broadcast(x: Tensor) -> Tensor:
        received = x.clone()
        dist.broadcast(received, src=0)
        return received

    return pair(broadcast, summed)(x)


COPY_TO_GROUP = Exercise(
    number="06.2",
    name="copy_to_group",
    points=10,
    difficulty=2,
    minutes=10,
    reference=copy_to_group,
    cases=_cases,
    observe=through_autograd,
    ranks=True,
    mutants=(
        Mutant(
            "f missing",
            pair(same, same),
            "Nothing happens on the way back, so each rank keeps the gradient of its own use of x. One x went to all "
            "ranks: its gradient is the sum over them. In a model the loss still falls, but every layer below learns "
            "from one rank's opinion.",
            "backward: it should hold the all-reduce.",
        ),
        Mutant(
            "both all-reduce",
            pair(summed, summed),
            "You sum on both ways. On the way forward x is the same everywhere, so your result is tp · x. Copying "
            "needs no message; only its transpose, the sum, does.",
            "forward: it should return x.",
        ),
        Mutant(
            "f and g swapped",
            pair(summed, same),
            "You wrote g: the sum on the way forward and nothing on the way back. f is its transpose: nothing forward, "
            "the sum back.",
            "which of the two methods holds the all-reduce.",
        ),
        Mutant(
            "mean for sum",
            pair(same, averaged),
            "You averaged the gradients. The mean is for data-parallel copies of a model. Here each rank's gradient is "
            "a part of one sum, and yours is tp times too small.",
            "the division by the number of ranks in backward.",
        ),
        Mutant(
            "gradient changed in place",
            pair(same, summed_in_place),
            "The numbers are right, but your all_reduce wrote into grad_output. That tensor is not yours: after "
            "y = f(x) + z autograd may hand the same one on to z, which then gets the sum as well.",
            "a copy in backward: total = grad_output.clone().",
        ),
        Mutant(
            "rank 0 tells the others",
            _from_rank_0,
            "You broadcast x from rank 0. Every rank has x already. Copying into the group is a matter of what happens "
            "on the way back; on the way forward nothing is sent.",
            "the ledger of the forward pass: it should be empty.",
        ),
    ),
)
