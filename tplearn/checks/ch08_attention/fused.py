"""Exercise 08.2: a rank's rows of the fused QKV weight: whole heads, of queries, keys and values each."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch08_attention.inputs import HIDDEN, SIZES
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward
from tplearn.parallel import head_range


def shard_qkv(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    """weight: [(heads + 2·kv_heads)·d, hidden], all queries, all keys, all values → this rank's rows, in that order."""
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    return _stacked(weight, head_dim, num_heads, num_kv_heads, own.queries, own.keys)


def _stacked(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, queries: tuple[int, int], keys: tuple[int, int]
) -> Tensor:
    q, k, v = weight.split([num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim])
    blocks = ((q, queries), (k, keys), (v, keys))
    return torch.cat([block[start * head_dim : stop * head_dim] for block, (start, stop) in blocks])


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, (heads, kv_heads, head_dim) in SIZES.items():
        weight = randn(generator, (heads + 2 * kv_heads) * head_dim, HIDDEN)
        cases.append(Case(tp, (weight, head_dim, heads, kv_heads)))
    return cases


def own_shard(fn: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Each rank cuts for itself."""
    return forward(fn, *args, dist.get_rank(), dist.get_world_size())


def _one_block(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    return weight.chunk(world_size)[rank].clone()


def _head_dim_cut(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    heads = weight.unflatten(0, (-1, head_dim))  # [all heads·d, hidden] -> [all heads, d, hidden]
    return heads.chunk(world_size, dim=1)[rank].flatten(0, 1)


def _kv_dealt(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    size = own.keys[1] - own.keys[0]
    first = (rank * size) % num_kv_heads
    return _stacked(weight, head_dim, num_heads, num_kv_heads, own.queries, (first, first + size))


def _all_kv(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    return _stacked(weight, head_dim, num_heads, num_kv_heads, own.queries, (0, num_kv_heads))


def _keys_for_values(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    keys = weight[num_heads * head_dim : (num_heads + num_kv_heads) * head_dim]
    weight = torch.cat([weight[: (num_heads + num_kv_heads) * head_dim], keys])
    return shard_qkv(weight, head_dim, num_heads, num_kv_heads, rank, world_size)


def _group_by_group(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    first, stop = own.keys
    size = (own.queries[1] - own.queries[0]) // (stop - first)
    shards = [
        _stacked(
            weight,
            head_dim,
            num_heads,
            num_kv_heads,
            (own.queries[0] + n * size, own.queries[0] + (n + 1) * size),
            (first + n, first + n + 1),
        )
        for n in range(stop - first)
    ]
    return torch.cat(shards)


SHARD_QKV = Exercise(
    number="08.2",
    name="shard_qkv",
    points=10,
    difficulty=2,
    minutes=10,
    reference=shard_qkv,
    cases=_cases,
    observe=own_shard,
    ranks=True,
    mutants=(
        Mutant(
            "fused QKV cut as one block",
            _one_block,
            "You cut the fused weight as one block. Rank 0 then holds nothing but queries, and the last rank all of "
            "the values. Often the shapes are right all the same (hpcaitech/ColossalAI#817). Three weights lie in this "
            "one, and each is cut by its own heads.",
            "cut in three first: heads·d rows, kv_heads·d rows, kv_heads·d rows.",
        ),
        Mutant(
            "head_dim split",
            _head_dim_cut,
            "You gave every rank d/tp numbers of every head. A score q·k is a sum over d, so each rank would hold a "
            "summand of every score, and an all-reduce of heads · seq² numbers would be due before the softmax. "
            "Whole heads need none.",
            "the dimension that is cut: heads, not the numbers of a head.",
        ),
        Mutant(
            "KV heads dealt like cards",
            _kv_dealt,
            "Your keys and values are those of KV head rank mod num_kv_heads. With more ranks than KV heads, "
            "neighbours share one: it is rank // copies. The shapes are right, and the queries meet foreign keys.",
            "ranks 0 and 1 at tp = 4 with 2 KV heads: both need KV head 0.",
        ),
        Mutant(
            "all KV heads on every rank",
            _all_kv,
            "Your queries are cut and your keys and values are whole. That is right for attention, if the ranks knew "
            "which to use, but every rank stores, computes and caches all KV heads. It needs those of its own queries.",
            "the rows of keys and values.",
        ),
        Mutant(
            "keys for values",
            _keys_for_values,
            "Your values are keys: you took them from row num_heads · d on, where the keys begin. The values begin "
            "num_kv_heads · d rows further down.",
            "the offset of the third block: (num_heads + num_kv_heads) · d.",
        ),
        Mutant(
            "group by group",
            _group_by_group,
            "Your rows are the right ones in another order: for each KV head its queries, its key, its value. "
            "Megatron-LM stores the weight like that. Here a shard looks like a smaller weight of the same kind: all "
            "of its queries, then all of its keys, then all of its values.",
            "the order of the blocks where a rank has more than one KV head.",
        ),
    ),
)
