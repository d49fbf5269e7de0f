"""Wrong first values, for the mutants of 07.1 and of the layers after it: wrong draws, wrong cuts, wrong groups."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch07_mlp_on_gloo.inputs import Group, Shard, bounds
from tplearn.checks.ch07_mlp_on_gloo.steps import Step, keep

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


def drawn(
    in_features: int, out_features: int, cut: str, group: Group, bias: Step = keep, **how: Callable | bool
) -> Shard:
    """The right draw; `how` goes to `sliced`. bias: a step for the bias where the inputs are cut."""
    dense = nn.Linear(in_features, out_features)
    weight, own_bias = sliced(dense.weight, dense.bias, cut, group, **how)
    return weight, bias(own_bias, group) if cut == "inputs" else own_bias


def transposed(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """The weight as [in, out]."""
    weight, bias = drawn(in_features, out_features, cut, group)
    return weight.T.clone(memory_format=torch.contiguous_format), bias


def times_root(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """√p times the weight."""
    weight, bias = drawn(in_features, out_features, cut, group)
    return weight * dist.get_world_size(group) ** 0.5, bias


def normal(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """torch.randn in the place of nn.Linear."""
    return sliced(torch.randn(out_features, in_features), torch.randn(out_features), cut, group)


def whole_without_group(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """No cut where there is no group."""
    dense = nn.Linear(in_features, out_features).requires_grad_(False)
    whole = dense.weight.clone(), dense.bias.clone()
    return whole if group is None else sliced(dense.weight, dense.bias, cut, group)


def padded(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """Zeros fill all shards up to ⌈n/p⌉."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    dense, dim = nn.Linear(in_features, out_features).requires_grad_(False), 0 if cut == "outputs" else 1
    each = -(-dense.weight.shape[dim] // p)
    missing = each * p - dense.weight.shape[dim]
    weight = F.pad(dense.weight, (0, 0, 0, missing) if dim == 0 else (0, missing))
    own = slice(rank * each, (rank + 1) * each)
    bias = F.pad(dense.bias, (0, missing))[own] if dim == 0 else dense.bias
    return (weight[own] if dim == 0 else weight[:, own]).clone(), bias.clone()


def dealt(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """Every p-th row or column."""
    dense = nn.Linear(in_features, out_features).requires_grad_(False)
    own = slice(dist.get_rank(group), None, dist.get_world_size(group))
    if cut == "outputs":
        return dense.weight[own].clone(), dense.bias[own].clone()
    return dense.weight[:, own].clone(memory_format=torch.contiguous_format), dense.bias.clone()


def same_seed(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """A draw of the shard's size, from the state that all ranks share."""
    start, stop = bounds(out_features if cut == "outputs" else in_features, group)
    sizes = (in_features, stop - start) if cut == "outputs" else (stop - start, out_features)
    own = nn.Linear(*sizes)
    return own.weight.detach(), own.bias.detach()


def first_bias(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    dense = nn.Linear(in_features, out_features)
    tensors = dense.weight, dense.bias, cut, group
    return sliced(*tensors)[0], sliced(*tensors, own=first_shard)[1]


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


def world_rank_modulo(size: int, group: Group) -> tuple[int, int]:
    p = dist.get_world_size(group)
    rank = dist.get_rank() % p
    each, more = divmod(size, p)
    start = rank * each + min(rank, more)
    return start, start + each + (rank < more)


def world_size(size: int, group: Group) -> tuple[int, int]:
    """The rank of the group, among as many shards as the world has ranks."""
    rank, (each, more) = dist.get_rank(group), divmod(size, dist.get_world_size())
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


def indexed(split: Callable[..., tuple[Tensor, ...]], in_the_world: bool = False) -> Callable[..., Shard]:
    """The slice as split(weight, p, dim)[rank], which fails where there are fewer slices than that."""

    def answer(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
        dense, p = nn.Linear(in_features, out_features).requires_grad_(False), dist.get_world_size(group)
        rank = dist.get_rank() if in_the_world else dist.get_rank(group)
        if cut == "outputs":
            return split(dense.weight, p)[rank].clone(), split(dense.bias, p)[rank].clone()
        return split(dense.weight, p, 1)[rank].clone(), dense.bias.clone()

    return answer
