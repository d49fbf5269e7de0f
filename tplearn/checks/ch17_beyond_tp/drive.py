"""How chapter 17's functions of one process are watched: on every rank in turn, and for every group of a layout."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tplearn.checks.observe import plain


def orders(fn: Callable[..., Any], p: int, m: int) -> dict[str, Any]:
    """{"forward": the order of each stage}."""
    return {"forward": [_lists(fn(rank, p, m)) for rank in range(p)]}


def tokens_and_work(fn: Callable[..., Any], p: int, tokens: int) -> dict[str, Any]:
    """{"forward": each rank's tokens}, and "work": how many pairs of a query and a key it has in causal attention."""
    owned = [_lists(fn(rank, p, tokens)) for rank in range(p)]
    if not all(isinstance(own, list) and all(type(token) is int for token in own) for own in owned):
        return {"forward": owned}
    return {"forward": owned, "work": [sum(token + 1 for token in own) for own in owned]}


def of_groups(
    fn: Callable[..., Any], layout: list[tuple[str, int]], ranks: list[int], several: list[list[str]]
) -> dict[str, Any]:
    """{"forward": {names: {rank: its group}}}, for these ranks and all these lists of names."""
    groups = {
        " and ".join(names): {f"rank {rank}": _lists(fn(list(names), rank, list(layout))) for rank in ranks}
        for names in several
    }
    return {"forward": groups}


def _lists(value: Any) -> Any:
    """Tensors of whole numbers as lists."""
    return value.tolist() if isinstance(value, Tensor) and value.ndim == 1 else plain(value)
