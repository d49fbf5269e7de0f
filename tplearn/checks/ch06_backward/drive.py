"""How a function between ranks is watched, forward and back: its result, its gradients, what it must not touch.

This file and what it imports know no reference and no mutant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.observe import backpropagate, changed_inputs, plain
from tplearn.ranks.job import PerRank

OVERWRITTEN = (
    "your backward changed the gradient that it was given, in place. It is not yours: autograd may hand the same one "
    "to another branch, as in y = f(x) + z. Work on a copy: total = grad_output.clone()."
)
SHAPE = "no gradient to be had: the result has another shape than the one due"


@dataclass(frozen=True)
class ForwardAndBack:
    """An observer that calls fn(*inputs, *options) on this rank, with its group at the end where there are `groups`.

    names: of the inputs, in order. upstream: this rank's gradient of the result. What else may show: "inputs" (an input
    was changed in place), "upstream" (so was the gradient that came in), "warning" (it went through a collective that
    autograd does not know).
    """

    names: tuple[str, ...] = ("x",)

    def __call__(
        self,
        fn: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        upstream: Tensor,
        options: Sequence[Any] = (),
        groups: Groups = None,
    ) -> dict[str, Any]:
        """{"forward", "gradient"}, the latter by the inputs' names."""
        more = [] if groups is None else [own_group(groups)]
        leaves = [x.clone().requires_grad_() for x in inputs]
        given = [leaf.clone() for leaf in leaves]  # no leaves: a change in place then shows in the values
        output = fn(*given, *options, *more)
        seen: dict[str, Any] = {"forward": plain(output)}
        seen |= changed_inputs((plain(list(inputs)), {}), (plain(given), {}))
        if more:  # another layer, in another group, between forward and backward: what backward needs is this call's
            fn(*[x.clone() for x in leaves], *options, own_group([[rank] for rank in range(dist.get_world_size())]))
        if not isinstance(output, Tensor) or not output.requires_grad:
            return seen | {"gradient": "nothing to back-propagate"}
        if output.shape != upstream.shape:  # other ranks may have the right shape, and wait for this one's way back
            return seen | backpropagate([output], [torch.zeros_like(output)]) | {"gradient": SHAPE}
        arriving = upstream.clone()
        seen |= backpropagate([output], [arriving])
        if not torch.equal(arriving, upstream):
            seen["upstream"] = OVERWRITTEN
        return seen | {"gradient": {name: plain(leaf.grad) for name, leaf in zip(self.names, leaves, strict=True)}}

    def arguments(
        self, inputs: Any, upstream: Any, options: Sequence[Any] = (), groups: Groups = None
    ) -> dict[str, Any]:
        """The inputs by name, and the gradient that arrives, for an explanation."""

        def own(k: int) -> Any:
            by_rank = isinstance(inputs, PerRank)
            return PerRank(tuple(values[k] for values in inputs.values)) if by_rank else inputs[k]

        return {name: own(k) for k, name in enumerate(self.names)} | {"grad_output": upstream}
