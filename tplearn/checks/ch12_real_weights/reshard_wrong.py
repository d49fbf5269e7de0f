"""Wrong answers to exercise 12.6: shards cut in place, copies of KV heads, old padding."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from tplearn.parallel import head_range, vocab_range

Shards = list[Tensor]
Sizes = tuple[int, int, int]


def wrong_reshard(
    qkv_shards: Shards, word_shards: Shards, sizes: Sizes, vocab_size: int, world_size: int, wrong: str
) -> list[Shards]:
    """The two parameters for another number of ranks, with one thing `wrong`."""
    if wrong == "the old number of ranks":
        world_size = len(qkv_shards)
    return [_qkv(qkv_shards, sizes, world_size, wrong), _words(word_shards, vocab_size, world_size, wrong)]


def _in_place(shards: Shards, world_size: int) -> Shards:
    """Each shard split by itself, or neighbours put together."""
    old = len(shards)
    if world_size >= old:
        return [part.clone() for shard in shards for part in shard.tensor_split(world_size // old)]
    joined = old // world_size
    return [torch.cat(shards[rank * joined : (rank + 1) * joined]) for rank in range(world_size)]


def _qkv(shards: Shards, sizes: Sizes, world_size: int, wrong: str) -> Shards:
    if wrong == "shards cut in place":
        return _in_place(shards, world_size)
    heads, kv_heads, d = sizes
    q, k, v = _parts(shards, sizes, wrong)
    if wrong == "dense parameter as one block":
        return list(torch.cat([q, k, v]).tensor_split(world_size))
    if wrong in ("copies taken for heads", "KV rows cut evenly", "new copies forgotten"):
        cut = [part.tensor_split(world_size) for part in (q, k, v)]
        return [torch.cat(of_rank) for of_rank in zip(*cut, strict=True)]
    new = []
    for rank in range(world_size):
        own = head_range(heads, kv_heads, rank, world_size)
        kv, stop = own.keys
        if wrong == "KV heads dealt out":
            kv = rank * (stop - kv) % kv_heads
            stop = kv + own.keys[1] - own.keys[0]
        if wrong == "all KV heads on every rank":
            kv, stop = 0, kv_heads
        runs = ((q, own.queries), (k, (kv, stop)), (v, (kv, stop)))
        new.append(torch.cat([part[a * d : b * d] for part, (a, b) in runs]))
    return new


def _parts(shards: Shards, sizes: Sizes, wrong: str) -> tuple[Tensor, ...]:
    """The dense q, k and v, or what a mutant takes for them."""
    heads, kv_heads, d = sizes
    own = head_range(heads, kv_heads, 0, len(shards))
    kv_rows = (own.keys[1] - own.keys[0]) * d
    q_rows = len(shards[0]) - 2 * kv_rows
    if wrong == "split for the dense sizes":
        q_rows, kv_rows = (len(shards[0]) * n // (heads + 2 * kv_heads) for n in (heads, kv_heads))
    parts = zip(*(shard.split([q_rows, kv_rows, len(shard) - q_rows - kv_rows]) for shard in shards), strict=True)
    q, k, v = map(torch.cat, parts)
    if wrong == "copies summed":
        return q, *(part.unflatten(0, (-1, own.kv_copies, kv_rows)).sum(1).flatten(0, 1) for part in (k, v))
    if wrong in ("copies taken for heads", "copies joined"):
        return q, k, v
    if wrong == "keys and values exchanged":
        k, v = v, k
    return q, *(part.unflatten(0, (-1, own.kv_copies, kv_rows))[:, 0].flatten(0, 1) for part in (k, v))


def _words(shards: Shards, vocab_size: int, world_size: int, wrong: str) -> Shards:
    if wrong == "words cut in place":
        return _in_place(shards, world_size)
    joined = torch.cat(shards)
    words = joined if wrong == "padding taken for words" else joined[:vocab_size]
    if wrong == "words shared out evenly":
        return list(words.tensor_split(world_size))
    new = []
    for rank in range(world_size):
        start, stop, rows = vocab_range(len(words), rank, world_size)
        if wrong == "old padding left in":
            own = joined[rank * rows : (rank + 1) * rows]
            new.append(pad(own, (0, 0, 0, rows - len(own))))
        elif wrong == "no new padding":
            new.append(words[start:stop])
        elif wrong == "padded on top":
            new.append(pad(words[start:stop], (0, 0, rows - (stop - start), 0)))
        else:
            new.append(pad(words[start:stop], (0, 0, 0, rows - (stop - start))))
    return new
