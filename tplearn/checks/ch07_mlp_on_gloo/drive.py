"""What is seen of a draw of first values, and of a layer, in a tensor-parallel group of the world."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.layers import layer_on_ranks
from tplearn.checks.observe import plain


def first_values(
    fn: Callable[..., Any], in_features: int, out_features: int, cut: str, groups: Groups, seed: int
) -> dict[str, Any]:
    """{"forward": fn(in_features, out_features, cut, group)} and {"memory": whether each tensor is its own or a view}.

    float64 is the default dtype, so that what is drawn there is float64. Every rank has the same `seed`.
    """
    torch.set_default_dtype(torch.float64)
    group = own_group(groups)
    torch.default_generator.manual_seed(seed)
    shard = fn(in_features, out_features, cut, group)
    tensors = shard if isinstance(shard, tuple | list) else [shard]
    return {"forward": plain(shard), "memory": [_memory(tensor) for tensor in tensors]}


def _memory(value: Any) -> str:
    if not isinstance(value, Tensor):
        return "no tensor"
    kept = value.untyped_storage().nbytes() // value.element_size()
    return "a tensor of its own" if kept <= value.numel() else f"a view that keeps {kept} numbers in memory"


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
