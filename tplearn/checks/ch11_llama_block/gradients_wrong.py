"""Wrong answers to exercise 11.5: copies, roots and sums in the wrong order, and messages that are not needed."""

import torch
import torch.distributed as dist
from torch import Tensor


def wrong_gradient_norm(gradients: list[Tensor], copies: list[int], wrong: str) -> Tensor:
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
    if wrong == "gradients added up and divided":
        return sum(_total(g).square().sum() / n for g, n in zip(_filled(gradients), copies, strict=True)).sqrt()
    if wrong == "copies added afterwards":
        return (_total(sum(s for s, n in kinds if n == 1)) + sum(s for s, n in kinds if n > 1)).sqrt()
    total = sum(own)
    if wrong == "own norm":
        return total.sqrt()
    if wrong == "own norm, copies in full":
        return sum(squares).sqrt()
    if wrong == "norms added":
        return _total(total.sqrt())
    if wrong == "norms squared twice":
        return _total(total.square()).sqrt()
    if wrong == "the largest rank":
        return _total(total, dist.ReduceOp.MAX).sqrt()
    if wrong == "averaged":
        return (_total(total) / tp).sqrt()
    if wrong == "sum of the tensors' norms":
        return _total(sum(square.sqrt() / n for square, n in kinds))
    if wrong == "sum of all norms":
        return _total(sum(square.sqrt() for square in squares))
    return _total(total) if wrong in ("no root", "absolute values") else _total(total).sqrt()


def _filled(gradients: list[Tensor]) -> list[Tensor]:
    """All of one shape on every rank: the words that the last rank lacks are zeros."""
    words = gradients[-1]
    return [*gradients[:-1], torch.cat([words, words.new_zeros(2 - len(words), words.shape[1])])]


def _total(x: Tensor, op: object = dist.ReduceOp.SUM) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, op=op)
    return x
