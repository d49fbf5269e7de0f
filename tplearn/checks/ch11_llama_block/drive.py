"""How chapter 11's functions are watched: a block's gradients by name, what its norms see, a table, a number."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.checks.observe import changed_inputs, plain

TABLE = {
    "tokens": ("x", "normed", "read", "inner", "partial", "reduced", "y"),
    "weights": ("norm weight", "gate weight", "down weight"),
    "gradients": ("gradient of read", "gradient of norm weight"),
}
# Operators that take the mean, the sum or the length over a dimension.
OVER_A_DIM = ("mean", "sum", "linalg_vector_norm", "var", "var_mean", "_fused_rms_norm", "native_layer_norm")


def of_block(fn: Callable[..., Any], upstream: Tensor, x: Tensor, w: dict[str, Tensor]) -> dict[str, Any]:
    """{"forward", "gradient" by name} of fn(x, w); `upstream` is this rank's gradient of the result."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in ({"x": x} | w).items()}
    given = {name: leaf.clone() for name, leaf in leaves.items()}  # a change in place then shows in the values
    result = fn(given["x"], {name: given[name] for name in w})
    after = {name: given[name] for name in w}
    seen = {"forward": plain(result)} | changed_inputs((plain([x, w]), {}), (plain([given["x"], after]), {}))
    if not isinstance(result, Tensor) or result.shape != upstream.shape:
        return seen | {"gradient": f"no gradient for a result of another shape than {tuple(upstream.shape)}"}
    if not result.requires_grad:
        return seen | {"gradient": "nothing to back-propagate: the result is cut off from the arguments"}
    result.backward(upstream.clone())
    gradients = {name: torch.zeros_like(t) if t.grad is None else t.grad for name, t in leaves.items()}
    return seen | {"gradient": plain(gradients)}


def of_block_on_tokens(fn: Callable[..., Any], upstream: Tensor, x: Tensor, w: dict[str, Tensor]) -> dict[str, Any]:
    """As `of_block`, and "tokens in a norm": the most that one norm has seen on this rank, where own tokens are due."""
    norms = _NormSees(x.shape[-1])

    def watched(x: Tensor, w: dict[str, Tensor]) -> Any:
        with norms:
            return fn(x, w)

    return of_block(watched, upstream, x, w) | {"tokens in a norm": max(norms.tokens, x.numel() // x.shape[-1])}


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
    """A dict {name: (state, shape)}, in groups; "names" shows which names there are."""
    result = plain(fn(*sizes))
    names = sorted(result) if isinstance(result, dict) else result
    entries = result if isinstance(result, dict) else {}
    return {"names": names} | {kind: {name: entries.get(name) for name in own} for kind, own in TABLE.items()}


def of_number(fn: Callable[..., Any], gradients: list[Tensor], copies: list[int]) -> dict[str, Any]:
    """One number, as a tensor of any shape or a Python number."""
    given = [gradient.clone() for gradient in gradients]
    result = plain(fn(given, list(copies)))
    if isinstance(result, Tensor) and result.numel() == 1 and result.dtype == gradients[0].dtype:
        result = result.item()
    return {"forward": result} | changed_inputs((plain([gradients]), {}), (plain([given]), {}))
