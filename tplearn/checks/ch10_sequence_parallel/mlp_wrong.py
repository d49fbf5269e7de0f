"""Wrong answers to exercise 10.2: gathers, sums, the mask of other tokens, and where the residual joins."""

import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.collectives import plain_all_gather, plain_reduce_scatter
from tplearn.parallel.place import Place


def wrong_half(x_shard: Tensor, up_shard: Tensor, down_shard: Tensor, keep: Tensor, wrong: str) -> Tensor:
    """Half a layer between own tokens, with one thing `wrong`."""
    p, rank, n = dist.get_world_size(), dist.get_rank(), x_shard.shape[1]
    partial = F.linear(F.gelu(F.linear(_gathered(x_shard, wrong), up_shard)), down_shard)
    own = keep[:, rank * n : (rank + 1) * n]
    if wrong == "the first rank's mask":
        own = keep[:, :n]
    if wrong == "mask dealt out":
        own = keep[:, rank::p]
    if wrong == "mask upside down":
        own = ~own
    scale = {"not scaled": 1.0, "divided by 0.25": 0.25, "multiplied": 1 / 0.75}.get(wrong, 0.75)
    if wrong == "whole mask":
        own = keep
    if wrong == "no dropout":
        return x_shard + reduce_scatter_sequence(partial)
    if wrong == "a mask of its own":
        return x_shard + F.dropout(reduce_scatter_sequence(partial), 0.25)
    if wrong == "tensor parallel in between":
        x = gather_from_group(x_shard, dim=1)
        y = F.linear(F.gelu(F.linear(copy_to_group(x), up_shard)), down_shard)
        return scatter_to_group(x + reduce_from_group(y) * keep / 0.75, dim=1)
    if wrong == "residual before the sum":
        return reduce_scatter_sequence(gather_sequence(x_shard) + partial * keep / 0.75)
    if wrong == "residual dropped out too":
        return (x_shard + reduce_scatter_sequence(partial)) * own / 0.75
    y = _own_tokens(partial, wrong) * own / scale
    return y if wrong == "no residual" else x_shard + y


def _gathered(x_shard: Tensor, wrong: str) -> Tensor:
    if wrong == "used alike":
        return gather_from_group(x_shard, dim=1)
    if wrong == "f before the gather":
        return gather_sequence(copy_to_group(x_shard))
    if wrong == "along the batch":
        return gather_sequence(x_shard, dim=0)
    if wrong == "no gradient through the gather":
        return plain_all_gather(x_shard.detach(), 1, Place.of()) if dist.get_world_size() > 1 else x_shard.detach()
    if wrong == "tokens not gathered":
        return copy_to_group(x_shard)
    if wrong == "nothing sent forward":
        return x_shard
    return gather_sequence(x_shard)


def _own_tokens(partial: Tensor, wrong: str) -> Tensor:
    p, rank = dist.get_world_size(), dist.get_rank()
    if wrong == "tokens not gathered":
        return reduce_from_group(partial)
    if wrong == "nothing sent forward":
        return partial
    if wrong == "own slice of the own partial":
        return partial.chunk(p, dim=1)[rank]
    if wrong == "scatter for reduce-scatter":
        return scatter_to_group(partial, dim=1)
    if wrong == "all-reduce, then cut":
        return scatter_to_group(reduce_from_group(partial), dim=1)
    if wrong == "all-reduce, then a slice":
        return reduce_from_group(partial).chunk(p, dim=1)[rank]
    if wrong == "scattered along hidden":
        return reduce_scatter_sequence(partial, dim=-1)
    if wrong == "averaged":
        return reduce_scatter_sequence(partial) / p
    if wrong == "no gradient through the scatter" and p > 1:
        return plain_reduce_scatter(partial.detach(), 1, Place.of())
    return reduce_scatter_sequence(partial)
