"""Exercise 08.5: a text is read at once, then token by token, with a cache of this rank's own KV heads."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.nn.functional import linear

from tplearn.checks.ch08_attention.inputs import BATCH, HIDDEN, SIZES, layer_shards
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import apply_rotary, attend, gather_from_group, reduce_from_group, rotary_tables
from tplearn.ranks import per_rank

TOKENS, PROMPT = 6, 3
Decoded = tuple[Tensor, Tensor, Tensor]


def decode_with_cache(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    """x: [batch, seq, hidden] → y as x, and the cached keys and values, [batch, kv heads of this rank, seq, d] each."""
    return _decoded(x, qkv_shard, o_shard, head_dim, _prompt_then_tokens(x, prompt))


def _prompt_then_tokens(x: Tensor, prompt: int) -> Iterator[tuple[int, int]]:
    yield 0, prompt
    yield from ((at, at + 1) for at in range(prompt, x.shape[1]))


def _project(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, first: int) -> tuple[Tensor, ...]:
    """q, k, v of the tokens x, which begin at position `first`: [batch, heads, seq, d] each, q and k turned."""
    q_size = o_shard.shape[1]
    kv_size = (qkv_shard.shape[0] - q_size) // 2
    projected = linear(x, qkv_shard).split([q_size, kv_size, kv_size], dim=-1)
    q, k, v = (t.unflatten(-1, (-1, head_dim)).transpose(1, 2) for t in projected)
    cos, sin = rotary_tables(torch.arange(first, first + x.shape[1]), head_dim)
    return apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v


def _output(y: Tensor, o_shard: Tensor) -> Tensor:
    return reduce_from_group(linear(y.transpose(1, 2).flatten(2), o_shard))


def _append(cache: Tensor, new: Tensor, start: int) -> Tensor:
    return torch.cat([cache, new], dim=2)


def _decoded(
    x: Tensor,
    qkv_shard: Tensor,
    o_shard: Tensor,
    head_dim: int,
    steps: Iterator[tuple[int, int]],
    position: Callable[[int], int] = lambda start: start,
    append: Callable[[Tensor, Tensor, int], Tensor] = _append,
    read: Callable[[Tensor, int], Tensor] = lambda keys, start: keys,
) -> Decoded:
    """Decode in these steps, with one part of it replaced."""
    pieces: list[Tensor] = []
    keys = values = x.new_empty(0)
    for start, stop in steps:
        q, k, v = _project(x[:, start:stop], qkv_shard, o_shard, head_dim, position(start))
        keys, values = (k, v) if start == 0 else (append(keys, k, start), append(values, v, start))
        pieces.append(_output(attend(q, read(keys, start), values, keys.shape[2] - (stop - start)), o_shard))
    return torch.cat(pieces, dim=1), keys, values


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in SIZES:
        qkv_shards, o_shards, head_dim = layer_shards(generator, tp)
        x = randn(generator, BATCH, TOKENS, HIDDEN)
        cases.append(Case(tp, (x, per_rank(qkv_shards), per_rank(o_shards), head_dim, PROMPT)))
    return cases


def _positions_restart(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    return _decoded(x, qkv_shard, o_shard, head_dim, _prompt_then_tokens(x, prompt), position=lambda start: 0)


def _overwritten(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    steps = _prompt_then_tokens(x, prompt)
    return _decoded(x, qkv_shard, o_shard, head_dim, steps, append=lambda cache, new, start: new)


def _last_one_lost(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    def append(cache: Tensor, new: Tensor, start: int) -> Tensor:
        return torch.cat([cache[:, :, : start - 1], new], dim=2)

    return _decoded(x, qkv_shard, o_shard, head_dim, _prompt_then_tokens(x, prompt), append=append)


def _turned_again(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    def read(keys: Tensor, start: int) -> Tensor:
        before, new = keys[:, :, :start], keys[:, :, start:]
        return torch.cat([apply_rotary(before, *rotary_tables(torch.arange(start), head_dim)), new], dim=2)

    return _decoded(x, qkv_shard, o_shard, head_dim, _prompt_then_tokens(x, prompt), read=read)


def _token_by_token(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    return _decoded(x, qkv_shard, o_shard, head_dim, iter([(at, at + 1) for at in range(x.shape[1])]))


def _all_again(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    pieces, keys, values = [], x, x
    for start, stop in _prompt_then_tokens(x, prompt):
        q, keys, values = _project(x[:, :stop], qkv_shard, o_shard, head_dim, 0)
        pieces.append(_output(attend(q, keys, values), o_shard)[:, start:])
    return torch.cat(pieces, dim=1), keys, values


def _cache_of_all_heads(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, head_dim: int, prompt: int) -> Decoded:
    y, keys, values = decode_with_cache(x, qkv_shard, o_shard, head_dim, prompt)
    return y, gather_from_group(keys, 1), gather_from_group(values, 1)


DECODE_WITH_CACHE = Exercise(
    number="08.5",
    name="decode_with_cache",
    points=15,
    difficulty=3,
    minutes=15,
    reference=decode_with_cache,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "positions start again",
            _positions_restart,
            "Each new token got position 0. It stands behind all the tokens in the cache, and its query and key are "
            "turned by that position: start, not 0. The prompt is right, every token after it is wrong.",
            "the positions that go into rotary_tables after the prompt.",
        ),
        Mutant(
            "cache overwritten",
            _overwritten,
            "A new token saw itself alone: its key and value took the place of the cache. They are put behind it.",
            "torch.cat along the token dimension, dim 2.",
        ),
        Mutant(
            "last cached token lost",
            _last_one_lost,
            "The new key lies where the last one was. A cache of n tokens has places 0 to n − 1; the next goes to "
            "place n.",
            "the place of the first token after the prompt.",
        ),
        Mutant(
            "cached keys turned again",
            _turned_again,
            "Keys were turned when they went into the cache, and again when they were read. A key has one position "
            "and is turned once: cache turned keys, and turn only the new one.",
            "what apply_rotary gets after the prompt: one token.",
        ),
        Mutant(
            "whole text again at each step",
            _all_again,
            "The numbers are right. You computed all tokens again for each new one, so each all-reduce carries the "
            "whole text: start + 1 tokens, where 1 is due. The cache is there to be read.",
            "the ledger: the shape of the all-reduces after the first.",
        ),
        Mutant(
            "prompt token by token",
            _token_by_token,
            "The numbers are right. You read the prompt one token at a time, one all-reduce each. The prompt is known: "
            "it goes through in one piece, one all-reduce for all of it.",
            "the first step: tokens 0 to prompt − 1 together.",
        ),
        Mutant(
            "a cache of all heads",
            _cache_of_all_heads,
            "You gathered keys and values of all ranks into each cache. Your queries only ever ask your own KV heads, "
            "so the rest is memory for nothing, and tp times the cache. Nothing needs to be sent for it.",
            "the second dimension of your cache: the KV heads of this rank.",
        ),
    ),
)
