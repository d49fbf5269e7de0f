"""Exercise 12.6: shards of one number of ranks become shards of another, without copies and padding of the old one."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.drive import both_lists
from tplearn.checks.ch12_real_weights.reshard_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn
from tplearn.parallel import head_range, vocab_range

Shards = list[Tensor]
Sizes = tuple[int, int, int]  # heads, KV heads, head_dim


def reshard(qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int) -> list[Shards]:
    """The same two parameters, cut over `world_size` ranks."""
    q, k, v = dense_parts(qkv_shards, sizes)
    words = torch.cat(word_shards)[:vocab_size]
    return [cut_qkv(q, k, v, sizes, world_size), cut_words(words, world_size)]


def dense_parts(shards: Shards, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """The dense q, k and v of fused shards: of each KV head the first copy."""
    heads, kv_heads, d = sizes
    dense: tuple[Shards, Shards, Shards] = [], [], []
    for rank, shard in enumerate(shards):
        own = head_range(heads, kv_heads, rank, len(shards))
        rows = [(stop - start) * d for start, stop in (own.queries, own.keys, own.keys)]
        for part, name, into in zip(shard.split(rows), "qkv", dense, strict=True):
            into.extend([part] if name == "q" or own.kv_copy == 0 else [])
    return tuple(map(torch.cat, dense))


def cut_qkv(q: Tensor, k: Tensor, v: Tensor, sizes: Sizes, world_size: int) -> Shards:
    """Each rank's own heads, fused."""
    heads, kv_heads, d = sizes
    own = [head_range(heads, kv_heads, rank, world_size) for rank in range(world_size)]
    runs = [((q, rank.queries), (k, rank.keys), (v, rank.keys)) for rank in own]
    return [torch.cat([part[start * d : stop * d] for part, (start, stop) in of_rank]) for of_rank in runs]


def cut_words(words: Tensor, world_size: int) -> Shards:
    """Each rank's own words, and zeros below them."""
    shards = []
    for rank in range(world_size):
        start, stop, rows = vocab_range(len(words), rank, world_size)
        shards.append(torch.nn.functional.pad(words[start:stop], (0, 0, 0, rows - (stop - start))))
    return shards


# old ranks, new ranks, words
SETTINGS = ((2, 4, 13), (8, 2, 21), (4, 4, 13), (4, 2, 13), (1, 4, 7), (8, 4, 13), (4, 8, 10), (4, 1, 7))


def _cases(generator: Generator) -> list[Case]:
    sizes, width, cases = (8, 2, 3), 5, []
    for old, new, vocab_size in SETTINGS:
        q, k, v = (randn(generator, rows * sizes[2], width) for rows in (sizes[0], sizes[1], sizes[1]))
        qkv_shards = cut_qkv(q, k, v, sizes, old)
        padding = 7 + torch.rand(1, generator=generator, dtype=torch.float64)  # what stood there is nobody's
        rows = vocab_range(vocab_size, 0, old)[2]
        words = torch.cat([randn(generator, vocab_size, width), padding.expand(old * rows - vocab_size, width)])
        word_shards = [shard.clone() for shard in words.split(rows)]
        cases.append(Case(new, (qkv_shards, word_shards, sizes, vocab_size, new), label=f"from {old} ranks"))
    return cases


RESHARD = Exercise(
    number="12.6",
    name="reshard",
    points=15,
    difficulty=3,
    minutes=15,
    reference=reshard,
    cases=_cases,
    observe=both_lists,
    mutants=MUTANTS,
    ready=("tplearn.llama", "tplearn.parallel.partition"),
)
