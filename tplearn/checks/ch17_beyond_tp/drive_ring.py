"""How attention over a ring is watched: its result, and the largest tensor that a rank makes for it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.observe import forward, tensors_in


class _Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that an op has made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the op, and look at its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            self.numbers = max(self.numbers, tensor.numel())
        return result


def in_a_ring(fn: Callable[..., Any], q: Tensor, k: Tensor, v: Tensor, groups: Groups) -> dict[str, Any]:
    """What `forward` sees of fn(q, k, v, group); {"memory": a sentence} where a tensor is larger than one step needs.

    A step needs the scores of its own queries against one chunk of keys, and q, K and V themselves.
    """
    group = own_group(groups)
    with _Largest() as largest:
        seen = forward(lambda q, k, v: fn(q, k, v, group), q, k, v)
    scores = q.shape[:-1].numel() * k.shape[-2]
    due = max(scores, 3 * q.numel())
    if largest.numbers > due:
        seen["memory"] = (
            f"a tensor of {largest.numbers} numbers was made. The scores of this rank's queries and one chunk of keys "
            f"are {scores}: a ring works on one chunk at a time, so that memory does not grow with the sequence."
        )
    return seen
