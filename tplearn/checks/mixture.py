"""How often each rank's tensor is in a result that should be the sum of them all: what was lost, or counted twice."""

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.leaf import Leaf


def mixture(leaves: list[Leaf]) -> str | None:
    """A sentence where every wrong tensor is a mixture of the ranks' tensors, and the right one a sum of some."""
    counts = [_counts(leaf, rank) for leaf in leaves for rank in leaf.wrong]
    if not counts or None in counts:
        return None
    leaf = max(leaves, key=lambda leaf: leaf.tp)  # more ranks tell more
    rank = leaf.wrong[0]
    place, got, want = _counts(leaf, rank) or ("", [], [])
    whose = f"rank {rank}'s" if len(leaf.want) > 1 else "your"
    return f"On {leaf.ranks}, {place}{whose} result is made of {_listed(got)}, where {_listed(want)} is due."


def _listed(counts: list[float]) -> str:
    """ "rank 0's + 2 × rank 1's"."""
    shown = [f"rank {k}'s" if count == 1 else f"{count:g} × rank {k}'s" for k, count in enumerate(counts) if count]
    return " + ".join(shown) or "nothing"


def _counts(leaf: Leaf, rank: int) -> tuple[str, list[float], list[float]] | None:
    """How often each rank's tensor, or its chunk that is due on this rank, is in what this rank has, and should be.

    Of a tensor with a row for each of several sums: in its first wrong row, which is named in front.
    """
    for tensors in leaf.inputs.values():
        if len(tensors) != leaf.tp or leaf.tp == 1:
            continue
        place, got, want = _first_wrong_row(leaf.got[rank], leaf.want[rank], tensors[rank])
        for parts in (tensors, [tensor.flatten().tensor_split(leaf.tp)[rank] for tensor in tensors]):
            due, held = _solve(want, parts), _solve(got, parts)
            if due is not None and held is not None and set(due) <= {0.0, 1.0} and any(due):
                return place, held, due
    return None


def _first_wrong_row(got: Tensor, want: Tensor, like: Tensor) -> tuple[str, Tensor, Tensor]:
    """Both as they are, or their first row that differs, where rows have the size of `like`."""
    if got.shape == want.shape and want.dim() and want.shape[1:] == like.shape and len(want) > 1:
        for row, pair in enumerate(zip(got, want, strict=True)):
            if first_difference(*pair) is not None:
                return f"row {row} of ", *pair
    return "", got, want


def _solve(total: Tensor, parts: list[Tensor]) -> list[float] | None:
    """The c with total = Σ c[k] · parts[k], where there is one such list of numbers."""
    floating = all(tensor.is_floating_point() and bool(torch.isfinite(tensor).all()) for tensor in (total, *parts))
    if not floating or any(part.numel() != total.numel() for part in parts) or total.numel() <= len(parts):
        return None
    matrix, column = torch.stack([part.flatten().double() for part in parts], dim=1), total.flatten().double()
    if torch.linalg.matrix_rank(matrix) < len(parts):
        return None
    counts = torch.linalg.lstsq(matrix, column[:, None]).solution[:, 0]
    if first_difference(matrix @ counts, column) is not None:
        return None
    return [round(count, 6) + 0.0 for count in counts.tolist()]
