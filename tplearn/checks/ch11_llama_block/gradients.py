"""Exercise 11.5: the dense model's gradient norm, from shards and copies, with one all-reduce of one number."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.ranks import per_rank


def gradient_norm(gradients: list[Tensor], copies: list[int]) -> Tensor:
    """gradients: this rank's; copies[i]: on how many ranks the same gradients[i] lies → the norm, a scalar."""
    return _total(sum(g.square().sum() / n for g, n in zip(gradients, copies, strict=True))).sqrt()


def _total(square: Tensor) -> Tensor:
    square = square.clone()
    dist.all_reduce(square)
    return square


def _cases(generator: torch.Generator) -> list[Case]:
    """From two ranks on: on one, whether dist.all_reduce is called or left out is a matter of taste."""
    cases = []
    for tp, kv_copies in ((2, 1), (3, 3), (4, 2)):
        norm_gradient = 3 * randn(generator, 6)
        kv = [2 * randn(generator, 2, 6) for _ in range(tp // kv_copies)]
        shards = [[randn(generator, 4, 6), norm_gradient.clone(), kv[r // kv_copies].clone()] for r in range(tp)]
        cases.append(Case(tp, (per_rank(shards), [1, tp, kv_copies])))
    return cases


def _copies_counted_often(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return _total(sum(g.square().sum() for g in gradients)).sqrt()


def _own_norm(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return sum(g.square().sum() for g in gradients).sqrt()


def _norms_added(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return _total(sum(g.square().sum() / n for g, n in zip(gradients, copies, strict=True)).sqrt())


def _copies_left_out(gradients: list[Tensor], copies: list[int]) -> Tensor:
    own = [g.square().sum() for g, n in zip(gradients, copies, strict=True) if n == 1]
    return _total(sum(own)).sqrt()


def _divided_by_tp(gradients: list[Tensor], copies: list[int]) -> Tensor:
    tp = dist.get_world_size()
    return _total(sum(g.square().sum() / (tp if n > 1 else 1) for g, n in zip(gradients, copies, strict=True))).sqrt()


def _kv_as_shards(gradients: list[Tensor], copies: list[int]) -> Tensor:
    tp = dist.get_world_size()
    return _total(sum(g.square().sum() / (tp if n == tp else 1) for g, n in zip(gradients, copies, strict=True))).sqrt()


def _divided_before_the_square(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return _total(sum((g / n).square().sum() for g, n in zip(gradients, copies, strict=True))).sqrt()


def _a_message_each(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return sum(_total(g.square().sum() / n) for g, n in zip(gradients, copies, strict=True)).sqrt()


GRADIENT_NORM = Exercise(
    number="11.5",
    name="gradient_norm",
    points=10,
    difficulty=2,
    minutes=10,
    reference=gradient_norm,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "copies counted on every rank",
            _copies_counted_often,
            "You added the squares of everything that every rank holds. A copy is one parameter, and it was counted "
            "once for each rank that has it. The norm is too large, and clipping cuts too much "
            "(NVIDIA-NeMo/RL#3788).",
            "copies: what lies on n ranks may enter the sum once, or n times with an n-th of its square.",
        ),
        Mutant(
            "own norm",
            _own_norm,
            "You took the norm of what this rank holds. Every rank finds another number, divides by it, and the copies "
            "drift apart. The norm of the model is one number: squares add up over the shards.",
            "one all_reduce of one number is due.",
        ),
        Mutant(
            "norms added",
            _norms_added,
            "You took the root on each rank and added the roots. Squares add up, roots do not: 3 and 4 make 5, not 7.",
            "the order of root and sum: sum over the ranks first, root last.",
        ),
        Mutant(
            "copies left out",
            _copies_left_out,
            "You left the copies out. They are parameters of the dense model and belong in its norm, once.",
            "gradients whose copies[i] is above 1.",
        ),
        Mutant(
            "all copies divided by tp",
            _divided_by_tp,
            "You divided every copy's square by tp. That is right for a norm's weight, which lies on all ranks. A KV "
            "head may lie on 2 of 4: copies[i] says on how many.",
            "the divisor: copies[i].",
        ),
        Mutant(
            "KV copies taken for shards",
            _kv_as_shards,
            "What lies on all ranks is counted once, but a KV head that lies on 2 of 4 ranks is counted twice: you "
            "took it for a shard.",
            "copies[i] between 1 and tp.",
        ),
        Mutant(
            "divided before the square",
            _divided_before_the_square,
            "You divided the gradient by its copies, and then squared: that divides the square by copies². n ranks "
            "each add an n-th of the square.",
            "the order of division and square.",
        ),
        Mutant(
            "a message for each tensor",
            _a_message_each,
            "The norm is right, with one message for each tensor. Add up on the rank first: one number has to travel.",
            "the ledger: one all_reduce of one number.",
        ),
    ),
)
