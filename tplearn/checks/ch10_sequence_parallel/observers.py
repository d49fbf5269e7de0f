"""How chapter 10's functions are watched on ranks: each rank gets its own upstream gradient, and kept bytes count."""

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.observe import changed_inputs, plain


def with_upstream(fn: Callable[..., Any], upstream: Tensor, *args: Tensor) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(*args); `upstream` is this rank's gradient of the result, argument by argument.

    Where the result has another shape than `upstream` there is no gradient to be had.
    """
    leaves = [x.clone().requires_grad_() for x in args]
    given = [leaf.clone() for leaf in leaves]  # a change in place then shows in the values, not as an autograd error
    return _seen(fn(*given), given, args, leaves, upstream)


def with_kept_bytes(fn: Callable[..., Any], upstream: Tensor, *args: Tensor) -> dict[str, Any]:
    """As `with_upstream`, and "kept": the bytes that autograd keeps for backward, beside the arguments themselves."""
    leaves = [x.clone().requires_grad_() for x in args]
    given = [leaf.clone() for leaf in leaves]
    own = {x.untyped_storage().data_ptr() for x in given}
    kept: dict[int, Tensor] = {}  # by storage: several views of one tensor count once; held, so that no address returns

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = fn(*given)
    size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return _seen(result, given, args, leaves, upstream) | {"kept": size}


def with_refusal(fn: Callable[..., Any], upstream: Tensor, x: Tensor) -> dict[str, Any]:
    """As `with_upstream`; a ValueError is {"refusal": does its message name the sequence and the number of ranks}."""
    try:
        return with_upstream(fn, upstream, x)
    except ValueError as error:
        numbers = re.findall(r"\d+", str(error))
        named = {"sequence length": x.shape[1], "number of ranks": dist.get_world_size()}
        return {"refusal": {f"the message names the {name}": str(size) in numbers for name, size in named.items()}}


def _seen(result: Any, given: list[Tensor], args: tuple[Tensor, ...], leaves: list[Tensor], upstream: Tensor) -> dict:
    seen = {"forward": plain(result)} | changed_inputs((plain(list(args)), {}), (plain(given), {}))
    if not isinstance(result, Tensor) or result.shape != upstream.shape or not result.requires_grad:
        return seen | {"gradient": "nothing to back-propagate"}
    result.backward(upstream.clone())
    return seen | {"gradient": [plain(leaf.grad) for leaf in leaves]}
