"""A rank's rows of a fused QKV weight in Megatron-LM's order, and the wrong rows for exercise 08.2."""

from collections.abc import Callable

import torch
from torch import Tensor

from tplearn.parallel import HeadRange, head_range

Range = tuple[int, int]
Rule = Callable[[HeadRange, int, int], Range]  # own heads, num_heads, num_kv_heads -> a range


def by_kind(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Megatron's order, q … q k v for each KV head, as all queries, all keys, all values: [heads, d, ...] each."""
    groups = weight.unflatten(0, (num_kv_heads, -1, head_dim))  # [rows, ...] → [kv, q + 2, d, ...]
    return groups[:, :-2].flatten(0, 1), groups[:, -2], groups[:, -1]


def shard_qkv(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    """weight: [(heads + 2·kv_heads)·d, ...] in Megatron's order → this rank's queries, its keys, its values."""
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    heads = by_kind(weight, head_dim, num_heads, num_kv_heads)
    return joined([kind[slice(*part)] for kind, part in zip(heads, (own.queries, own.keys, own.keys), strict=True)])


def joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).flatten(0, 1)  # [heads, d, ...] → [rows, ...]


def own_queries(own: HeadRange, heads: int, kv_heads: int) -> Range:
    return own.queries


def own_keys(own: HeadRange, heads: int, kv_heads: int) -> Range:
    return own.keys


def shard_with(queries: Rule = own_queries, keys: Rule = own_keys, order: tuple[int, int, int] = (0, 1, 2)) -> Callable:
    """Other heads for the rank, or other kinds in the places of queries, keys and values."""

    def answer(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
        own = head_range(num_heads, num_kv_heads, rank, world_size)
        heads = by_kind(weight, head_dim, num_heads, num_kv_heads)
        rows = [queries(own, num_heads, num_kv_heads), *[keys(own, num_heads, num_kv_heads)] * 2]
        return joined([heads[kind][slice(*rows[kind])] for kind in order])

    return answer


def dealt(own: HeadRange, heads: int, kv_heads: int) -> Range:
    size = own.keys[1] - own.keys[0]
    rank = own.queries[0] // (own.queries[1] - own.queries[0])
    first = (rank * size) % kv_heads
    return first, first + size


def of_the_group(own: HeadRange, heads: int, kv_heads: int) -> Range:
    return own.keys[0] * heads // kv_heads, own.keys[1] * heads // kv_heads


def one_block(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    return weight.tensor_split(world_size)[rank].clone()


def order_kept(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    shared = num_heads // num_kv_heads
    groups = weight.unflatten(0, (num_kv_heads, shared + 2, head_dim))[slice(*own.keys)]
    first = own.queries[0] - own.keys[0] * shared
    each = (own.queries[1] - own.queries[0]) // len(groups)
    rows = [*range(first, first + each), shared, shared + 1]
    return groups[:, rows].flatten(0, 2)


def pairs_kept(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    queries, keys, values = by_kind(weight, head_dim, num_heads, num_kv_heads)
    pairs = torch.stack([keys[slice(*own.keys)], values[slice(*own.keys)]], dim=1).flatten(0, 1)
    return joined([queries[slice(*own.queries)], pairs])


def as_on_the_page(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    blocks = weight.unflatten(0, (-1, head_dim)).split([num_heads, num_kv_heads, num_kv_heads])
    return joined([kind[slice(*part)] for kind, part in zip(blocks, (own.queries, own.keys, own.keys), strict=True)])


def head_dim_cut(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    heads = torch.cat(by_kind(weight, head_dim, num_heads, num_kv_heads))
    return heads.tensor_split(world_size, dim=1)[rank].flatten(0, 1)


def rows_cut(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    kinds = (kind.flatten(0, 1) for kind in by_kind(weight, head_dim, num_heads, num_kv_heads))
    return torch.cat([kind.tensor_split(world_size)[rank] for kind in kinds])


def numbers_first(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    rows = weight.unflatten(0, (num_kv_heads, head_dim, -1)).transpose(1, 2).flatten(0, 2)
    return shard_qkv(rows, head_dim, num_heads, num_kv_heads, rank, world_size)
