"""Makes a layer's parameters from their partitions, and draws them: each rank's shard of what the dense layer draws."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tplearn.parallel.partition import Partition


def make_parameters(layer: nn.Module, names: Sequence[str]) -> None:
    """An empty parameter for each name that has a partition, None for the others."""
    for name in names:
        partition: Partition | None = layer.partitions.get(name)
        layer.register_parameter(name, None if partition is None else nn.Parameter(torch.empty(partition.shape)))


@torch.no_grad()
def draw(parameter: nn.Parameter, partition: Partition, fill: Callable[[Tensor], object]) -> None:
    """Let `fill` draw the dense parameter in place, and keep this rank's shard of it; on the meta device nothing.

    All ranks must have the same seed, and then take the same numbers from the generator: the sharded layer is the
    dense one cut up, bit for bit. One dense parameter at a time is in memory. `parameter.drawn` keeps the first number
    of the dense draw, with the first of the shard: so `assert_replicated` can tell whether all ranks drew the same.
    """
    if parameter.is_meta:
        return
    dense = parameter.new_empty(partition.dense_shape)
    fill(dense)
    parameter.copy_(partition.shard(dense))
    parameter.drawn = dense.flatten()[:1].clone(), parameter.detach().flatten()[:1].clone()


def draw_linear(layer: nn.Module) -> None:
    """nn.Linear's own initialisation of the dense layer, of which each rank keeps its shards."""
    bound = 1 / math.sqrt(layer.in_features)
    fills = {
        "weight": lambda dense: nn.init.kaiming_uniform_(dense, a=math.sqrt(5)),
        "bias": lambda dense: nn.init.uniform_(dense, -bound, bound),
    }
    for name, partition in layer.partitions.items():
        draw(getattr(layer, name), partition, fills[name])
