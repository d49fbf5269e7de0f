"""Exercise 12.6: shards of one number of ranks become shards of another, without copies and padding of the old one."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from tplearn.checks.ch08_attention.inputs import rows_of_rank
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import head_range, vocab_range

HEADS, KV_HEADS, HEAD_DIM, WIDTH = 8, 2, 2, 3
Shards = list[Tensor]
Sizes = tuple[int, int, int]  # heads, KV heads, head_dim


def reshard(qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int) -> list[Shards]:
    """The same two parameters, cut over `world_size` ranks."""
    q, k, v = dense_parts(qkv_shards, sizes)
    words = torch.cat(word_shards)[:vocab_size]
    return [cut_qkv(torch.cat([q, k, v]), sizes, world_size), cut_words(words, world_size)]


def dense_parts(shards: Sequence[Tensor], sizes: Sizes) -> Shards:
    """The dense q, k and v of fused shards: of each KV head the first copy."""
    heads, kv_heads, d = sizes
    q, k, v = [], [], []
    for rank, shard in enumerate(shards):
        own = head_range(heads, kv_heads, rank, len(shards))
        kv_rows = (own.keys[1] - own.keys[0]) * d
        parts = shard.split([(own.queries[1] - own.queries[0]) * d, kv_rows, kv_rows])
        q.append(parts[0])
        if own.kv_copy == 0:
            k.append(parts[1])
            v.append(parts[2])
    return [torch.cat(part) for part in (q, k, v)]


def cut_qkv(dense: Tensor, sizes: Sizes, world_size: int) -> Shards:
    """Each rank's own heads of a fused weight."""
    return [dense[rows_of_rank(*sizes, rank, world_size)] for rank in range(world_size)]


def cut_words(words: Tensor, world_size: int) -> Shards:
    """Each rank's own words, and zeros below them."""
    shards = []
    for rank in range(world_size):
        start, stop, rows = vocab_range(len(words), rank, world_size)
        shards.append(torch.nn.functional.pad(words[start:stop], (0, 0, 0, rows - (stop - start))))
    return shards


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for old, new, vocab_size in ((2, 4, 13), (4, 2, 13), (8, 2, 21), (1, 4, 7)):
        sizes = (HEADS, KV_HEADS, HEAD_DIM)
        dense = randn(generator, (HEADS + 2 * KV_HEADS) * HEAD_DIM, WIDTH)
        words = cut_words(randn(generator, vocab_size, WIDTH), old)
        words = [shard + (shard == 0) * 7.0 for shard in words]  # what stood in the old padding is nobody's
        cases.append(Case(new, (cut_qkv(dense, sizes, old), words, sizes, vocab_size, new)))
    return cases


def _in_place(qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int) -> list[Shards]:
    old = len(qkv_shards)
    if world_size >= old:
        return [
            [part.clone() for shard in shards for part in shard.tensor_split(world_size // old)]
            for shards in (qkv_shards, word_shards)
        ]
    joined = old // world_size
    return [
        [torch.cat(shards[rank * joined : (rank + 1) * joined]) for rank in range(world_size)]
        for shards in (qkv_shards, word_shards)
    ]


def _with_kv(kind: str, qkv_shards: Shards, sizes: Sizes, world_size: int) -> Shards:
    """Cut again after the copies of each KV head were summed, or after all of them were taken for heads."""
    heads, kv_heads, d = sizes
    old = len(qkv_shards)
    q = dense_parts(qkv_shards, sizes)[0]
    own = head_range(heads, kv_heads, 0, old)
    q_rows, kv_rows = len(q) // old, (own.keys[1] - own.keys[0]) * d
    parts = [[shard.split([q_rows, kv_rows, kv_rows])[n] for shard in qkv_shards] for n in (1, 2)]
    if kind == "summed":
        k, v = (torch.cat(part).unflatten(0, (-1, own.kv_copies, kv_rows)).sum(1).flatten(0, 1) for part in parts)
        return cut_qkv(torch.cat([q, k, v]), sizes, world_size)
    k, v = (torch.cat(part) for part in parts)
    cut = [part.tensor_split(world_size) for part in (q, k, v)]
    if len(k) == kv_heads * d:  # no copies so far
        return cut_qkv(torch.cat([q, k, v]), sizes, world_size)
    return [torch.cat([part[rank] for part in cut]) for rank in range(world_size)]


def _summed(qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int) -> list[Shards]:
    right = reshard(qkv_shards, word_shards, sizes, vocab_size, world_size)
    return [_with_kv("summed", qkv_shards, sizes, world_size), right[1]]


def _stacked(qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int) -> list[Shards]:
    right = reshard(qkv_shards, word_shards, sizes, vocab_size, world_size)
    return [_with_kv("stacked", qkv_shards, sizes, world_size), right[1]]


def _padding_kept(
    qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int
) -> list[Shards]:
    right = reshard(qkv_shards, word_shards, sizes, vocab_size, world_size)
    return [right[0], cut_words(torch.cat(word_shards), world_size)]


RESHARD = Exercise(
    number="12.6",
    name="reshard",
    points=15,
    difficulty=3,
    minutes=15,
    reference=reshard,
    cases=_cases,
    mutants=(
        Mutant(
            "shards split in place",
            _in_place,
            "You split each shard by itself, or put neighbours together. A fused shard is queries, then keys, then "
            "values: half of it is all queries, and two of them in a row are q k v q k v. Go by way of the dense "
            "parameter: take apart, join, cut anew.",
            "what the first new shard holds: queries, keys and values are all due.",
        ),
        Mutant(
            "KV copies summed",
            _summed,
            "You added up the copies of a KV head. Their gradients are summands; the weights themselves are equal, and "
            "the sum of c copies is c times too large. Take one of them.",
            "the keys and values where the old number of ranks is larger than the number of KV heads.",
        ),
        Mutant(
            "KV copies taken for heads",
            _stacked,
            "You put the keys of all old shards one above the other. Where KV heads were copied that makes more heads "
            "than the model has. Of each KV head one copy counts: head_range(...).kv_copy == 0.",
            "the rows of your dense K: KV heads · head_dim.",
        ),
        Mutant(
            "padding kept inside",
            _padding_kept,
            "You took the old padding for words. It depends on the old number of ranks, and what stands in it is "
            "nobody's. Join, keep the first vocab_size rows, and pad anew with zeros.",
            "torch.cat(word_shards)[:vocab_size], before you cut.",
        ),
    ),
)
