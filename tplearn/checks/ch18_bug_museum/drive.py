"""How chapter 18's functions are watched: by what they return, but for the size of what is only rounding."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tplearn.checks.observe import forward

ROUNDING = 1e-12


def of_reading(fn: Callable[..., Any], own: list[Tensor], right: Tensor, dim: int | None) -> dict[str, Any]:
    """The reading; an error below 1e-12 counts as 0, because it depends on the order of the arithmetic."""
    seen = forward(fn, own, right, dim)
    read = seen["forward"]
    if isinstance(read, dict) and type(read.get("error")) is float and abs(read["error"]) < ROUNDING:
        seen["forward"] = read | {"error": 0.0}
    return seen
