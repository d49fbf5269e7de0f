"""Makes a layer's parameters from their partitions, and draws them: the dense layer's own numbers, cut up."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from tplearn.parallel.partition import Partition


def make_parameters(layer: nn.Module, names: Sequence[str]) -> None:
    """An empty parameter for each name that has a partition, None for the others."""
    for name in names:
        partition: Partition | None = layer.partitions.get(name)
        layer.register_parameter(name, None if partition is None else nn.Parameter(torch.empty(partition.shape)))


@torch.no_grad()
def draw_linear(layer: nn.Module) -> None:
    """Draw what nn.Linear would draw, parameter by parameter, and keep this rank's part of each.

    All ranks must have the same seed, and then take the same numbers from the generator: the sharded layer is the
    dense one cut up, bit for bit. One dense parameter at a time is in memory; on the meta device nothing is drawn.
    """
    bound = 1 / math.sqrt(layer.in_features)
    for name, partition in layer.partitions.items():
        parameter = getattr(layer, name)
        if parameter.is_meta:
            continue
        dense = parameter.new_empty(partition.dense_shape)
        if name == "weight":
            nn.init.kaiming_uniform_(dense, a=math.sqrt(5))
        else:
            nn.init.uniform_(dense, -bound, bound)
        parameter.copy_(partition.cut(dense))
