"""How chapter 16's functions are watched where the result is a pair or a layout: each number under its name."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tplearn.checks.compare import describe
from tplearn.checks.observe import changed_inputs, plain


def fitted_line(fn: Callable[..., Any], nbytes: list[int], seconds: list[float]) -> dict[str, Any]:
    """{"alpha", "beta"} of a pair, be it a tuple, an array or a tensor."""
    given = list(nbytes), list(seconds)
    result = fn(*given)
    pair = plain(result.tolist() if hasattr(result, "tolist") else result)
    changed = changed_inputs((plain([nbytes, seconds]), {}), (plain([*given]), {}))
    if not isinstance(pair, list) or len(pair) != 2:
        return {"parts": f"your function returned {describe(pair)}, where two numbers are due: α and β."} | changed
    alpha, beta = (one.item() if isinstance(one, Tensor) and one.numel() == 1 else one for one in pair)
    return {"alpha": alpha, "beta": beta} | changed


def layout(fn: Callable[..., Any], *args: int) -> dict[str, Any]:
    """{"tp", "pp", "dp"} of a dict that has these keys."""
    found = plain(fn(*args))
    if not isinstance(found, dict) or found.keys() != {"tp", "pp", "dp"}:
        return {"parts": f"your function returned {describe(found)}, where a dict with the keys tp, pp, dp is due."}
    return {name: found[name] for name in ("tp", "pp", "dp")}
