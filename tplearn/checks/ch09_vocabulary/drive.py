"""What is seen of chapter 09's answers: on each rank in turn, or with a result that stays cut."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.observe import backpropagate, changed_inputs, plain


def every_rank(fn: Callable[..., Any], vocab_size: int, world_size: int, multiple: int) -> dict[str, Any]:
    """What the answer says for each rank."""
    return {"forward": [plain(fn(vocab_size, rank, world_size, multiple)) for rank in range(world_size)]}


def cut_forward_and_gradient(fn: Callable[..., Any], inputs: Sequence[Any], upstream: Tensor) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(*inputs), whose result is cut: each rank back-propagates an upstream of its own."""
    leaves = [x.clone().requires_grad_() if _is_float(x) else x for x in inputs]
    given = [x.clone() if isinstance(x, Tensor) else x for x in leaves]
    output = fn(*given)
    seen = {"forward": plain(output)} | changed_inputs((plain(list(inputs)), {}), (plain(given), {}))
    if not isinstance(output, Tensor) or not output.requires_grad:
        return seen | {"gradient": "nothing to back-propagate"}
    if output.shape != upstream.shape:  # other ranks may have the right shape, and wait for this one's backward pass
        return seen | backpropagate([output], [torch.zeros_like(output)]) | {"gradient": "nothing to back-propagate"}
    seen |= backpropagate([output], [upstream.clone()])
    return seen | {"gradient": [_gradient(x) for x in leaves]}


def _gradient(leaf: Any) -> Tensor | None:
    """Zeros where nothing came back; None for what has no gradient."""
    if not _is_float(leaf):
        return None
    return plain(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
