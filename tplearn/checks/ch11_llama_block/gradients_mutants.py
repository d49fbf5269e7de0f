"""Wrong answers to exercise 11.5: copies, roots and sums in the wrong order, and messages that are not needed."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import mutants_of


def _norm(gradients: list[Tensor], copies: list[int], wrong: str) -> Tensor:
    """The gradient norm, with one thing `wrong`."""
    tp, rank = dist.get_world_size(), dist.get_rank()
    squares = [g.square().sum() for g in gradients]
    shares = [square / n for square, n in zip(squares, copies, strict=True)]
    first, kinds = rank == 0, list(zip(squares, copies, strict=True))
    own = {
        "copies counted on every rank": squares,
        "copies on rank 0 only": [square if n == 1 or first else 0 * square for square, n in kinds],
        "rank 0 alone": [share if first else 0 * share for share in shares],
        "copies left out": [square for square, n in kinds if n == 1],
        "copies alone": [share for share, n in zip(shares, copies, strict=True) if n > 1],
        "copies divided by tp": [square / (tp if n > 1 else 1) for square, n in kinds],
        "everything divided by tp": [square / tp for square in squares],
        "partly copied as shards": [square / (tp if n == tp else 1) for square, n in kinds],
        "partly copied left out": [share for share, n in zip(shares, copies, strict=True) if n in (1, tp)],
        "multiplied by copies": [square * n for square, n in kinds],
        "divided before the square": [square / n**2 for square, n in kinds],
        "root of copies": [square / n**0.5 for square, n in kinds],
    }.get(wrong, shares)
    if wrong == "absolute values":
        own = [g.abs().sum() / n for g, n in zip(gradients, copies, strict=True)]
    if wrong == "a message for each tensor":
        return sum(map(_total, own)).sqrt()
    if wrong == "everything sent":
        filled = zip(_filled(gradients), copies, strict=True)
        return sum(_total(g.square() / n).sum() for g, n in filled).sqrt()
    if wrong == "gradients added up":
        return sum(_total(g).square().sum() for g in _filled(gradients)).sqrt()
    total = sum(own)
    if wrong == "own norm":
        return total.sqrt()
    if wrong == "norms added":
        return _total(total.sqrt())
    if wrong == "norms squared twice":
        return _total(total.square()).sqrt()
    if wrong == "the largest rank":
        return _total(total, dist.ReduceOp.MAX).sqrt()
    if wrong == "averaged":
        return (_total(total) / tp).sqrt()
    if wrong == "sum of the tensors' norms":
        return _total(sum(square.sqrt() for square in own))
    return _total(total) if wrong in ("no root", "absolute values") else _total(total).sqrt()


def _filled(gradients: list[Tensor]) -> list[Tensor]:
    """All of one shape on every rank: the words that the last rank lacks are zeros."""
    words = gradients[-1]
    return [*gradients[:-1], torch.cat([words, words.new_zeros(2 - len(words), words.shape[1])])]


def _total(x: Tensor, op: object = dist.ReduceOp.SUM) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, op=op)
    return x


MUTANTS = mutants_of(
    _norm,
    (
        "copies counted on every rank",
        "You added the squares of everything that every rank has. A copy is one parameter, and it was counted once "
        "for each rank that has it. The norm is too large, and clipping cuts too much (NVIDIA-NeMo/RL#3788).",
        "copies: what n ranks have may enter the sum once, or n times with an n-th of its square.",
    ),
    (
        "copies on rank 0 only",
        "You counted copies on rank 0 only. That is right for what every rank has. A KV head that ranks 2 and 3 share "
        "is not on rank 0: it is missing from your sum.",
        "copies[i] between 1 and tp: divide the square by it, on every rank.",
    ),
    (
        "rank 0 alone",
        "Only rank 0's gradients are in your sum. The other ranks have shards of their own.",
        "what each rank brings to the all-reduce.",
    ),
    (
        "own norm",
        "You took the norm of what this rank has. Every rank finds another number, divides by it, and the copies "
        "drift apart. The norm of the model is one number: squares add up over the shards.",
        "one all_reduce of one number is due.",
    ),
    (
        "norms added",
        "You took the root on each rank and added the roots. Squares add up, roots do not: 3 and 4 make 5, not 7.",
        "the order of root and sum: sum over the ranks first, root last.",
    ),
    (
        "sum of the tensors' norms",
        "You added up the norms of the tensors. Squares add up, norms do not: 3 and 4 make 5, not 7.",
        "the order of root and sum: one root, at the very end.",
    ),
    (
        "norms squared twice",
        "You squared the sums of squares once more before the all-reduce.",
        "how often each number is squared: once.",
    ),
    ("no root", "You returned the sum of squares. The norm is its root.", "the last step."),
    (
        "absolute values",
        "You added absolute values. The norm is the root of the sum of squares.",
        "g.square(), and the root at the end.",
    ),
    (
        "the largest rank",
        "You took the largest of the ranks' sums. They add up: each rank has other numbers of the model.",
        "the reduce op: SUM.",
    ),
    (
        "averaged",
        "You averaged the ranks' sums of squares. They add up: each rank has other numbers of the model.",
        "the reduce op, or a division by tp.",
    ),
    (
        "everything divided by tp",
        "You divided every square by tp. That is right for what every rank has, once. A shard is on one rank only and "
        "counts in full.",
        "the divisor: copies[i].",
    ),
    (
        "copies left out",
        "You left the copies out. They are parameters of the dense model and belong in its norm, once.",
        "gradients whose copies[i] is above 1.",
    ),
    (
        "copies alone",
        "You left the shards out. They are most of the model.",
        "gradients whose copies[i] is 1.",
    ),
    (
        "copies divided by tp",
        "You divided every copy's square by tp. That is right for a norm's weight, which all ranks have. A KV head "
        "may be on 2 of 4: copies[i] says on how many.",
        "the divisor: copies[i].",
    ),
    (
        "partly copied as shards",
        "What all ranks have is counted once, but a KV head on 2 of 4 ranks is counted twice: you took it for a shard.",
        "copies[i] between 1 and tp.",
    ),
    (
        "partly copied left out",
        "What all ranks have is counted, and what one rank has; a KV head on 2 of 4 ranks is missing.",
        "copies[i] between 1 and tp.",
    ),
    (
        "multiplied by copies",
        "You multiplied the squares by copies. n ranks each add the same square, so each may add an n-th of it.",
        "a division, not a product.",
    ),
    (
        "divided before the square",
        "You divided the gradient by its copies, and then squared: that divides the square by copies². n ranks each "
        "add an n-th of the square.",
        "the order of division and square.",
    ),
    (
        "root of copies",
        "You divided the square by the root of copies. n ranks each add an n-th of the square.",
        "the divisor: copies[i] itself, for squares.",
    ),
    (
        "a message for each tensor",
        "The norm is right, with one message for each tensor. Add up on the rank first: one number has to travel.",
        "the ledger: one all_reduce of one number.",
    ),
    (
        "everything sent",
        "The norm is right, but the ranks sent each other whole gradients. Square and add up on the rank first: one "
        "number has to travel.",
        "the ledger: one all_reduce of one number.",
    ),
    (
        "gradients added up",
        "You summed the gradients over the ranks, as data parallelism does. Shards are different parameters, and "
        "copies are equal: neither may be added. Only the sums of squares may.",
        "what goes into the all-reduce: one number.",
    ),
)
