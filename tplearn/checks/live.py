"""A function on this rank's arguments, and its gradients under an upstream gradient of this rank's own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.observe import backpropagate, changed_inputs, plain


def with_upstream(fn: Callable[..., Any], upstream: Tensor, *args: Tensor | dict[str, Tensor]) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(*args); the gradients stand in the structure of the arguments.

    `upstream` is this rank's gradient of the result. Where the result has another shape there is none to be had; the
    backward pass runs all the same, because other ranks may have the right shape and wait for this one.
    """
    live = Live(args)
    return live.backward(fn(*live.given), upstream)


class Live:
    """Arguments with leaves that collect gradients; `given` is handed over: a change in place shows there."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args
        self.leaves = _each(args, lambda x: x.clone().requires_grad_(x.is_floating_point()))
        self.given = _each(self.leaves, Tensor.clone)

    def backward(self, result: Any, upstream: Tensor) -> dict[str, Any]:
        """What is seen of the result, and of the arguments after the backward pass."""
        seen = {"forward": plain(result)} | changed_inputs((plain(self.args), {}), (plain(self.given), {}))
        if not isinstance(result, Tensor):
            return seen | {"gradient": "no gradient of what is no tensor"}
        if not result.requires_grad:
            return seen | {"gradient": "nothing to back-propagate: the result is cut off from the arguments"}
        fits = result.shape == upstream.shape
        try:
            seen |= backpropagate([result], [upstream.clone() if fits else torch.zeros_like(result)])
        except RuntimeError:
            if "inputs" not in seen:
                raise
            return seen | {"gradient": "no way back: an argument was changed in place"}
        if not fits:
            return seen | {"gradient": f"no gradient for a result of another shape than {tuple(upstream.shape)}"}
        return seen | {"gradient": plain(_each(self.leaves, _gradient))}


def _each(value: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    return (
        {k: _each(v, change) for k, v in value.items()}
        if isinstance(value, dict)
        else [_each(v, change) for v in value]
    )


def _gradient(leaf: Tensor) -> Tensor | None:
    """Zeros where nothing came back; None where nothing can, as for a mask."""
    if not leaf.is_floating_point():
        return None
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
