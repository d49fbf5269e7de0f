"""How often each rank's tensor is in a result that should be the sum of them all: what was lost, or counted twice."""

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.leaf import Leaf


def mixture(leaves: list[Leaf]) -> str | None:
    """A sentence where every wrong tensor is a mixture of the ranks' tensors, and the right one their sum."""
    counts = [_counts(leaf, rank) for leaf in leaves for rank in leaf.wrong]
    if not counts or None in counts:
        return None
    leaf = max(leaves, key=lambda leaf: leaf.tp)  # more ranks tell more
    rank = leaf.wrong[0]
    held = " + ".join(f"{count:g} × rank {k}'s" for k, count in enumerate(_counts(leaf, rank) or []) if count)
    whose = f"rank {rank}'s" if len(leaf.want) > 1 else "your"
    return f"On tp = {leaf.tp}, {whose} result is made of {held or 'nothing'}. Each rank's is due once."


def _counts(leaf: Leaf, rank: int) -> list[float] | None:
    """How often each rank's tensor, or its chunk that is due on this rank, is in what this rank has."""
    for tensors in leaf.inputs.values():
        if len(tensors) != leaf.tp or leaf.tp == 1:
            continue
        for parts in (tensors, [tensor.flatten().tensor_split(leaf.tp)[rank] for tensor in tensors]):
            if _solve(leaf.want[rank], parts) == [1.0] * leaf.tp:
                return _solve(leaf.got[rank], parts)
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
