"""What is seen of a function between ranks: its result, its gradient, and whether it touched what is not its own."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.observe import changed_inputs, plain

UNREGISTERED = "an autograd kernel was not registered"  # how torch says that it does not know an op's gradient


def through_autograd(
    fn: Callable[..., Tensor], inputs: Sequence[Tensor], upstream: Tensor, options: Sequence[Any] = ()
) -> dict[str, Any]:
    """{"forward", "gradient"} of `fn(*inputs, *options)` on this rank; an observer for exercises with `ranks=True`.

    upstream: this rank's gradient of the result. What else may show: "inputs" (an input was changed in place),
    "upstream" (the gradient that came in was changed in place), "warning" (the gradient went through a collective that
    autograd does not know).
    """
    leaves = [x.clone().requires_grad_() for x in inputs]
    given = [leaf.clone() for leaf in leaves]  # no leaves: a change in place then shows in the values, not as an error
    output = fn(*given, *options)
    seen: dict[str, Any] = {"forward": plain(output)}
    seen |= changed_inputs((plain(list(inputs)), {}), (plain(given), {}))
    if not isinstance(output, Tensor) or output.shape != upstream.shape or not output.requires_grad:
        return seen | {"gradient": ["nothing to back-propagate"]}
    arriving = upstream.clone()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output.backward(arriving)
    seen["gradient"] = [plain(leaf.grad) for leaf in leaves]
    if not torch.equal(arriving, upstream):
        seen["upstream"] = "the gradient that arrived was changed in place"
    if any(UNREGISTERED in str(warning.message) for warning in caught):
        seen["warning"] = "autograd met a collective whose gradient it does not know"
    return seen
