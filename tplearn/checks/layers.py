"""What is seen of a layer: its first values, its output, and the gradients of its inputs and of every parameter."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tplearn.checks.draw import drawn
from tplearn.checks.observe import backpropagate, changed_inputs, plain

HOOK = (
    "your layer put a hook on its input. That changes the gradient of all who use the tensor, as in y = layer(x) + x, "
    "and fails where it needs none. What belongs to the layer alone is done in an autograd Function."
)


def layer_on_ranks(
    make: Callable[..., nn.Module], sizes: Sequence[Any], inputs: Sequence[Tensor], upstream: Tensor, seed: int = 0
) -> dict[str, Any]:
    """{"weights", "forward", "gradient"} of `make(*sizes)` in float64; an observer for exercises with `ranks=True`.

    inputs: the tensors that this rank gets. upstream: this rank's gradient of the output (where the answer's output has
    another shape, there is no gradient to be had). "weights": each parameter before the first call; all ranks have the
    same `seed`. Biases and norms are scaled up afterwards: at their small first values some mistakes hide.
    """
    torch.set_default_dtype(torch.float64)
    layer, complaint = drawn(lambda: make(*sizes), seed)
    seen: dict[str, Any] = {"weights": {name: plain(p) for name, p in layer.named_parameters()}} | complaint
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.ndim == 1:
                parameter.mul_(20)
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x.clone() for x in inputs]
    given = [x.clone() for x in leaves]  # no leaves: a change in place then shows in the values, not as an error
    output = layer(*given)
    seen |= {"forward": plain(output)} | changed_inputs((plain(list(inputs)), {}), (plain(given), {}))
    if any(x._backward_hooks for x in given):
        seen["hook"] = HOOK
    if not isinstance(output, Tensor) or not output.requires_grad:
        return seen | {"gradient": "nothing to back-propagate"}
    if output.shape != upstream.shape:  # other ranks may have the right shape, and wait for this one's backward pass
        return seen | backpropagate([output], [torch.zeros_like(output)]) | {"gradient": "nothing to back-propagate"}
    seen |= backpropagate([output], [upstream.clone()])
    return seen | {
        "gradient": {
            "inputs": [_gradient(x) for x in leaves],
            "parameters": {name: _gradient(p) for name, p in layer.named_parameters()},
        }
    }


def _gradient(leaf: Tensor) -> Tensor | None:
    """Zeros where nothing came back; None where nothing can, as for the ids of words."""
    if not leaf.is_floating_point():
        return None
    return plain(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)
