"""The sum of exercise 08.4 over other rows, other ranks, in more messages; `sum_rows` makes each of them."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.parallel import reduce_from_group

Group = dist.ProcessGroup
Pair = tuple[Tensor, Tensor]
Answer = Callable[..., Pair]  # (weight_gradient, bias_gradient, head_dim, heads, kv_heads, group)
Rows = Callable[[int, int, int], tuple[int, int]]  # head_dim, heads, kv_heads -> start, stop


def sum_rows(weight_gradient: Tensor, bias_gradient: Tensor, start: int, stop: int, group: Group | None) -> Pair:
    """Both gradients, with their rows from start to stop summed in one message."""
    both = torch.cat([weight_gradient, bias_gradient[:, None]], dim=1)  # [rows, hidden + 1]
    both[start:stop] = reduce_from_group(both[start:stop].clone(), group)
    return both[:, :-1].clone(), both[:, -1].clone()


def kv_rows(head_dim: int, heads: int, kv_heads: int) -> tuple[int, int]:
    """The rows of keys and values."""
    return heads * head_dim, (heads + 2 * kv_heads) * head_dim


def over(rows: Rows, everywhere: bool = False) -> Answer:
    """These rows summed. everywhere: over all ranks."""

    def answer(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
        return sum_rows(weight, bias, *rows(head_dim, heads, kv_heads), None if everywhere else group)

    return answer


def nothing(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """Copies of both."""
    return weight.clone(), bias.clone()


def mean(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """The sum over the group, divided by its size."""
    pair = sum_rows(weight, bias, *kv_rows(head_dim, heads, kv_heads), group)
    for tensor in pair:
        tensor[heads * head_dim :] /= dist.get_world_size(group)
    return pair


def weight_only(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """The bias as it came."""
    return sum_rows(weight, bias, *kv_rows(head_dim, heads, kv_heads), group)[0], bias.clone()


def whole_bias(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """All of the bias summed."""
    summed = sum_rows(weight, bias, *kv_rows(head_dim, heads, kv_heads), group)[0]
    return summed, reduce_from_group(bias, group).clone()


def each_alone(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """A message for the weight and one for the bias."""
    start, pair = heads * head_dim, (weight, bias)
    return tuple(torch.cat([t[:start], reduce_from_group(t[start:], group)]) for t in pair)


def four_messages(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """Keys and values, of weight and bias, one by one."""
    split = [t.split([heads * head_dim, kv_heads * head_dim, kv_heads * head_dim]) for t in (weight, bias)]
    return tuple(torch.cat([q, *(reduce_from_group(t, group) for t in kv)]) for q, *kv in split)


def in_place(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """The sums written into the arguments."""
    both = sum_rows(weight, bias, *kv_rows(head_dim, heads, kv_heads), group)
    return weight.copy_(both[0]), bias.copy_(both[1])


def slices_in_place(weight: Tensor, bias: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Pair:
    """An all-reduce of each argument's own rows."""
    for gradient in (weight, bias):
        dist.all_reduce(gradient[heads * head_dim :], group=group)
    return weight, bias
