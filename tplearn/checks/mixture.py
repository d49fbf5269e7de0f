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
    got, want = _counts(leaf, rank) or ([], [])
    whose = f"rank {rank}'s" if len(leaf.want) > 1 else "your"
    return f"On tp = {leaf.tp}, {whose} result is made of {_listed(got)}, where {_listed(want)} is due."


def _listed(counts: list[float]) -> str:
    """ "rank 0's + 2 × rank 1's"."""
    shown = [f"rank {k}'s" if count == 1 else f"{count:g} × rank {k}'s" for k, count in enumerate(counts) if count]
    return " + ".join(shown) or "nothing"


def _counts(leaf: Leaf, rank: int) -> tuple[list[float], list[float]] | None:
    """How often each rank's tensor, or its chunk that is due on this rank, is in what this rank has, and should be."""
    for tensors in leaf.inputs.values():
        if len(tensors) != leaf.tp or leaf.tp == 1:
            continue
        for parts in (tensors, [tensor.flatten().tensor_split(leaf.tp)[rank] for tensor in tensors]):
            due, held = _solve(leaf.want[rank], parts), _solve(leaf.got[rank], parts)
            if due is not None and held is not None and set(due) <= {0.0, 1.0} and sum(due) > 1:
                return held, due
    return None


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
