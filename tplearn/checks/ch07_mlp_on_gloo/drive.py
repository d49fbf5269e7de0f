"""What is seen of a draw of first values, and of a layer, in a tensor-parallel group of the world."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tplearn.checks.draw import drawn
from tplearn.checks.groups import Groups, own_group
from tplearn.checks.layers import layer_on_ranks
from tplearn.checks.observe import plain

VIEW = (
    "it is a view. .clone() makes a tensor of its own; .contiguous() copies nothing where rows lie side by side "
    "already."
)


def first_values(
    fn: Callable[..., Any], in_features: int, out_features: int, cut: str, groups: Groups, seed: int
) -> dict[str, Any]:
    """{"forward": fn(in_features, out_features, cut, group)}; what is wrong with the seed or with views, if anything.

    float64 is the default dtype, so that what is drawn there is float64. Every rank has the same `seed`.
    """
    torch.set_default_dtype(torch.float64)
    group = own_group(groups)
    shard, complaint = drawn(lambda: fn(in_features, out_features, cut, group), seed)
    return {"forward": plain(shard)} | complaint | _views(shard)


def _views(shard: Any) -> dict[str, str]:
    """{"memory": a sentence} where a tensor keeps more numbers in memory than it has."""
    for number, tensor in enumerate(shard if isinstance(shard, tuple | list) else [shard]):
        kept = tensor.untyped_storage().nbytes() // tensor.element_size() if isinstance(tensor, Tensor) else 0
        if isinstance(tensor, Tensor) and kept > tensor.numel():
            return {
                "memory": f"your result[{number}] keeps {kept} numbers in memory and shows {tensor.numel()}: {VIEW}"
            }
    return {}


def layer_in_group(
    make: Callable[..., nn.Module],
    sizes: Sequence[int],
    groups: Groups,
    seed: int,
    inputs: Sequence[Tensor],
    upstream: Tensor,
) -> dict[str, Any]:
    """As `layer_on_ranks`, of `make(*sizes, group)`. inputs and upstream: this rank's."""
    group = own_group(groups)
    return layer_on_ranks(lambda *own_sizes: make(*own_sizes, group), sizes, inputs, upstream, seed)
