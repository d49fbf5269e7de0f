"""Wrong first values, for the mutants of 07.1 and of the layers after it: wrong draws, wrong cuts, wrong groups."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.checks.ch07_mlp_on_gloo.inputs import Group, Shard, bounds

Bounds = Callable[[int, Group], tuple[int, int]]


def sliced(
    weight: Tensor, bias: Tensor, cut: str, group: Group, own: Bounds = bounds, cut_bias: bool | None = None
) -> Shard:
    """This rank's slice; own(size, group) says which. cut_bias: None where the outputs are cut."""
    size = weight.shape[0 if cut == "outputs" else 1]
    rows = slice(*own(size, group))
    whole_bias = cut != "outputs" if cut_bias is None else not cut_bias
    own_bias = bias if whole_bias else bias[slice(*own(len(bias), group))]
    return (weight[rows] if cut == "outputs" else weight[:, rows]).detach().clone(), own_bias.detach().clone()


def drawn(in_features: int, out_features: int, cut: str, group: Group, **how: object) -> Shard:
    """The right draw; `how` goes to `sliced`."""
    dense = nn.Linear(in_features, out_features)
    return sliced(dense.weight, dense.bias, cut, group, **how)


def same_seed(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """A draw of the shard's size, from the state that all ranks share."""
    start, stop = bounds(out_features if cut == "outputs" else in_features, group)
    sizes = (in_features, stop - start) if cut == "outputs" else (stop - start, out_features)
    own = nn.Linear(*sizes)
    return own.weight.detach(), own.bias.detach()


def own_seed(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """A draw of the shard's size, from a state of this rank's own."""
    torch.manual_seed(dist.get_rank())
    return same_seed(in_features, out_features, cut, group)


def wide(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """The dense draw, with the bound that the shard's own inputs would give."""
    start, stop = bounds(in_features, group) if cut == "inputs" else (0, in_features)
    bound = 1 / math.sqrt(max(1, stop - start))
    weight = torch.empty(out_features, in_features).uniform_(-bound, bound)
    return sliced(weight, torch.empty(out_features).uniform_(-bound, bound), cut, group)


def of_the_world(size: int, group: Group) -> tuple[int, int]:
    """The slice of a rank among all ranks."""
    return bounds(size, None)


def ceil(size: int, group: Group) -> tuple[int, int]:
    each = -(-size // dist.get_world_size(group))
    return dist.get_rank(group) * each, (dist.get_rank(group) + 1) * each


def floor(size: int, group: Group) -> tuple[int, int]:
    each = size // dist.get_world_size(group)
    return dist.get_rank(group) * each, (dist.get_rank(group) + 1) * each


def rest_last(size: int, group: Group) -> tuple[int, int]:
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    return rank * (size // p), size if rank == p - 1 else (rank + 1) * (size // p)


def rest_spread_last(size: int, group: Group) -> tuple[int, int]:
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    return rank * size // p, (rank + 1) * size // p


def rest_first(size: int, group: Group) -> tuple[int, int]:
    rank, rest = dist.get_rank(group), size % dist.get_world_size(group)
    each = size // dist.get_world_size(group)
    return (rank * each + rest if rank else 0), (rank + 1) * each + rest


def world_rank(size: int, group: Group) -> tuple[int, int]:
    rank, p = dist.get_rank(), dist.get_world_size(group)
    each, more = divmod(size, p)
    start = rank * each + min(rank, more)
    return start, start + each + (rank < more)


def first_shard(size: int, group: Group) -> tuple[int, int]:
    start, stop = bounds(size, group)
    return 0, stop - start


def other_dim(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    return drawn(in_features, out_features, "inputs" if cut == "outputs" else "outputs", group)


def zero_bias(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    weight, bias = drawn(in_features, out_features, cut, group)
    return weight, torch.zeros_like(bias)


def two_layers(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    weight, bias = nn.Linear(in_features, out_features).weight, nn.Linear(in_features, out_features).bias
    return sliced(weight, bias, cut, group)


def from_rank_0(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    dense = nn.Linear(in_features, out_features).requires_grad_(False)
    for tensor in (dense.weight, dense.bias):
        dist.broadcast(tensor, group=group, group_src=0)
    return sliced(dense.weight, dense.bias, cut, group)


def views(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    dense = nn.Linear(in_features, out_features)
    rows = slice(*bounds(out_features if cut == "outputs" else in_features, group))
    if cut == "outputs":
        return dense.weight.detach()[rows], dense.bias.detach()[rows]
    return dense.weight.detach()[:, rows], dense.bias.detach()


def indexed(split: Callable[..., tuple[Tensor, ...]], in_the_world: bool = False) -> Callable[..., Shard]:
    """The slice as split(weight, p, dim)[rank], which fails where there are fewer slices than that."""

    def answer(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
        dense, p = nn.Linear(in_features, out_features).requires_grad_(False), dist.get_world_size(group)
        rank = dist.get_rank() if in_the_world else dist.get_rank(group)
        if cut == "outputs":
            return split(dense.weight, p)[rank].clone(), split(dense.bias, p)[rank].clone()
        return split(dense.weight, p, 1)[rank].clone(), dense.bias.clone()

    return answer
