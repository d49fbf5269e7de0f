"""How chapter 11's functions are watched: a block's gradients by name, what its norms see, a table, a number."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.checks.live import with_upstream
from tplearn.checks.observe import changed_inputs, plain

TABLE = {
    "tokens": ("x", "normed", "read", "inner", "partial", "reduced", "y"),
    "weights": ("norm weight", "gate weight", "down weight"),
    "gradients": ("gradient of read", "gradient of norm weight"),
}
# Operators that take the mean, the sum or the length over a dimension.
OVER_A_DIM = ("mean", "sum", "linalg_vector_norm", "var", "var_mean", "_fused_rms_norm", "native_layer_norm")


def on_own_tokens(fn: Callable[..., Any], upstream: Tensor, x: Tensor, w: dict[str, Tensor]) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(x, w), and "tokens in a norm": the most that one has seen; own ones are due."""
    norms = _NormSees(x.shape[-1])

    def watched(x: Tensor, w: dict[str, Tensor]) -> Any:
        with norms:
            return fn(x, w)

    seen = with_upstream(watched, upstream, x, w)
    return seen | {"tokens in a norm": max(norms.tokens, x.numel() // x.shape[-1])}


class _NormSees(TorchDispatchMode):
    """Looks for means, sums and lengths over the hidden dimension: however a norm is written, it needs one."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden, self.tokens = hidden, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        result = func(*args, **(kwargs or {}))
        if func.namespace == "aten" and func._overloadpacket.__name__ in OVER_A_DIM and args[0].shape[-1:]:
            found = result if isinstance(result, Tensor) else result[-1]
            if args[0].shape[-1] == self.hidden and found.numel() * self.hidden == args[0].numel():
                self.tokens = max(self.tokens, found.numel())
        return result


def of_table(fn: Callable[..., Any], *sizes: Any) -> dict[str, Any]:
    """A dict {name: (state, shape)}, in groups; "names" says what is missing in the table, and what is none of it."""
    result = plain(fn(*sizes))
    if not isinstance(result, dict):
        return {"names": result}
    due = [name for names in TABLE.values() for name in names]
    missing, unknown = [name for name in due if name not in result], [name for name in result if name not in due]
    says = [f"without {', '.join(missing)}" * bool(missing), f"with {', '.join(map(str, unknown))}" * bool(unknown)]
    groups = {kind: {name: _entry(result.get(name)) for name in names} for kind, names in TABLE.items()}
    return {"names": " and ".join(filter(None, says)) or "those of the table"} | groups


def _entry(entry: Any) -> Any:
    """(state, shape) with names, so that each is judged by itself."""
    return dict(zip(("state", "shape"), entry, strict=True)) if isinstance(entry, list) and len(entry) == 2 else entry


def of_number(fn: Callable[..., Any], gradients: list[Tensor], copies: list[int]) -> dict[str, Any]:
    """One number, as a tensor of shape [] or a Python number."""
    given = [gradient.clone() for gradient in gradients]
    result = plain(fn(given, list(copies)))
    if isinstance(result, float):
        result = gradients[0].new_tensor(result)
    return {"forward": result} | changed_inputs((plain([gradients]), {}), (plain([given]), {}))
