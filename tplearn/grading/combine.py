"""What a collective brings each of its ranks, computed from what all have brought, in the order of the ranks."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tplearn.grading.posts import Post
from tplearn.jailed.forms import WireError

_STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "SUM": torch.add,
    "AVG": torch.add,
    "PRODUCT": torch.mul,
    "MIN": torch.minimum,
    "MAX": torch.maximum,
    "BAND": torch.bitwise_and,
    "BOR": torch.bitwise_or,
    "BXOR": torch.bitwise_xor,
}


def combine(posts: Sequence[Post]) -> list[list[Tensor]]:
    """For each post, the tensors that its rank gets; posts in the order of the group's members.

    Raises WireError where what they bring cannot be combined.
    """
    try:
        return _COMBINED[posts[0].row.op](posts)
    except (RuntimeError, ValueError, IndexError) as error:
        raise WireError(f"{posts[0].row.op}: what the ranks bring does not fit together") from error


def _nothing(posts: Sequence[Post]) -> list[list[Tensor]]:
    return [[] for _ in posts]


def _reduced(parts: Sequence[Tensor], reduce_op: str) -> Tensor:
    """One tensor of several. torch would broadcast other shapes, so they are refused."""
    if len({(part.shape, part.dtype) for part in parts}) != 1:
        raise ValueError("shapes or dtypes differ")
    total = functools.reduce(_STEPS[reduce_op], parts)
    if reduce_op != "AVG":
        return total
    return total / len(parts) if total.is_floating_point() or total.is_complex() else total // len(parts)


def _by_tensor(posts: Sequence[Post]) -> list[tuple[Tensor, ...]]:
    """The first tensors of all ranks, the second of all, …"""
    return list(zip(*(post.tensors for post in posts), strict=True))


def _all_reduce(posts: Sequence[Post]) -> list[list[Tensor]]:
    total = [_reduced(parts, posts[0].row.reduce_op) for parts in _by_tensor(posts)]
    return [total for _ in posts]


def _reduce(posts: Sequence[Post]) -> list[list[Tensor]]:
    total = _all_reduce(posts)[0]
    return [total if post.row.rank == post.row.root else [] for post in posts]


def _broadcast(posts: Sequence[Post]) -> list[list[Tensor]]:
    (sent,) = (post.tensors for post in posts if post.row.rank == post.row.root)
    return [[] if post.row.rank == post.row.root else sent for post in posts]


def _all_gather(posts: Sequence[Post]) -> list[list[Tensor]]:
    return [[part for parts in _by_tensor(posts) for part in parts] for _ in posts]


def _gather(posts: Sequence[Post]) -> list[list[Tensor]]:
    parts = [post.tensors[0] for post in posts]
    return [parts if post.row.rank == post.row.root else [] for post in posts]


def _scatter(posts: Sequence[Post]) -> list[list[Tensor]]:
    (sent,) = (post.tensors[1:] for post in posts if post.row.rank == post.row.root)
    return [[part] for _, part in zip(posts, sent, strict=True)]


def _reduce_scatter(posts: Sequence[Post]) -> list[list[Tensor]]:
    ranks, reduce_op = len(posts), posts[0].row.reduce_op
    if posts[0].listed:
        return [[_reduced(parts, reduce_op)] for parts in _by_tensor(posts)[:ranks]]
    wholes = [_reduced(parts, reduce_op).flatten() for parts in _by_tensor(posts)]
    return [[whole.view(ranks, -1)[k] for whole in wholes] for k in range(ranks)]


def _all_to_all(posts: Sequence[Post]) -> list[list[Tensor]]:
    rows = [post.tensors if post.listed else post.tensors[0].flatten().split(post.splits) for post in posts]
    return [list(column) for column in zip(*rows, strict=True)]


_COMBINED: dict[str, Callable[[Sequence[Post]], list[list[Tensor]]]] = {
    "all_reduce": _all_reduce,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "all_gather": _all_gather,
    "gather": _gather,
    "scatter": _scatter,
    "reduce_scatter": _reduce_scatter,
    "all_to_all": _all_to_all,
    "barrier": _nothing,
    "new_group": _nothing,
}
