"""Exercise 08.1: which query heads and which KV heads a rank computes, also with more ranks than KV heads."""

from collections.abc import Callable
from typing import Any

from torch import Generator, randint

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import plain
from tplearn.parallel import head_range

Ranges = tuple[tuple[int, int], tuple[int, int]]


def heads_of_rank(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    """((first query head, stop), (first KV head, stop)) of `rank`."""
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    return own.queries, own.keys


def _cases(generator: Generator) -> list[Case]:
    factor = int(randint(1, 4, (1,), generator=generator))  # query heads for each KV head, at most
    fitting = [(8, 2, 1), (8 * factor, 4, 2), (8 * factor, 2, 4), (9 * factor, 3, 3), (9 * factor, 3, 9), (8, 1, 8)]
    refused = [(9, 3, 2), (12 * factor, 3, 2), (12, 2, 3), (8, 3, 2)]
    return [Case(tp, (heads, kv_heads, tp)) for heads, kv_heads, tp in fitting + refused]


def every_rank(fn: Callable[..., Any], num_heads: int, num_kv_heads: int, world_size: int) -> dict[str, Any]:
    """What the answer says for each rank."""
    return {"forward": [plain(fn(num_heads, num_kv_heads, rank, world_size)) for rank in range(world_size)]}


def _with(keys: Callable[[int, int, int, int], tuple[int, int]]) -> Callable[..., Ranges]:
    """Right query heads and refusals, and another rule for the KV heads."""

    def answer(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
        queries, _ = heads_of_rank(num_heads, num_kv_heads, rank, world_size)
        return queries, keys(num_heads, num_kv_heads, rank, world_size)

    return answer


def _dealt(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    size = max(1, kv_heads // p)
    first = (rank * size) % kv_heads
    return first, first + size


def _one_further(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    if kv_heads >= p:
        return heads_of_rank(heads, kv_heads, rank, p)[1]
    first = (rank + 1) // (p // kv_heads)
    return first, first + 1


def _rounded_stop(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    group = heads // kv_heads
    return rank * heads // p // group, (rank + 1) * heads // p // group


def _as_many_as_queries(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return rank * heads // p, (rank + 1) * heads // p


def _none_left(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return rank * (kv_heads // p), (rank + 1) * (kv_heads // p)


def _queries_by_kv_index(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    _, keys = heads_of_rank(num_heads, num_kv_heads, rank, world_size)
    size = num_heads // world_size
    first = rank // max(1, world_size // num_kv_heads) * size
    return (first, first + size), keys


def _rounds_down(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    size, kv_size = num_heads // world_size, max(1, num_kv_heads // world_size)
    first = rank // max(1, world_size // num_kv_heads) * kv_size
    return (rank * size, (rank + 1) * size), (first, first + kv_size)


HEADS_OF_RANK = Exercise(
    number="08.1",
    name="heads_of_rank",
    points=5,
    difficulty=2,
    minutes=8,
    reference=heads_of_rank,
    cases=_cases,
    observe=every_rank,
    mutants=(
        Mutant(
            "KV head off by one",
            _with(_one_further),
            "With c = tp / num_kv_heads copies of each KV head, rank r needs KV head r // c. Yours is one head too far "
            "for the last rank of each set of copies: ranks count from 0. Only the numbers show it.",
            "the last rank: its KV head is num_kv_heads − 1.",
        ),
        Mutant(
            "KV heads dealt like cards",
            _with(_dealt),
            "You gave rank r the KV head r mod num_kv_heads, as cards are dealt. But the query heads are runs: ranks 0 "
            "and 1 are neighbours in the same group, and need the same KV head. It is r // copies.",
            "the first two ranks where tp is twice the number of KV heads.",
        ),
        Mutant(
            "stop rounded down",
            _with(_rounded_stop),
            "You divided both ends of the query range by the group's size and rounded down. Where a rank has only a "
            "part of a group, the stop falls back onto the start, and the rank has no KV head at all.",
            "the stop: at least one KV head more than the start.",
        ),
        Mutant(
            "as many KV heads as query heads",
            _with(_as_many_as_queries),
            "Your KV heads are your query heads. That is multi-head attention. With grouped queries, query head i uses "
            "KV head i // (num_heads / num_kv_heads).",
            "which of the two head counts the KV range is made from.",
        ),
        Mutant(
            "no KV head left",
            _with(_none_left),
            "num_kv_heads // tp is 0 as soon as there are more ranks than KV heads, so your ranks attend to nothing. "
            "A KV head cannot be shared out further: it is copied.",
            "the number of KV heads of a rank: at least 1.",
        ),
        Mutant(
            "query heads by the KV index",
            _queries_by_kv_index,
            "You gave the copies of a KV head the same query heads too, those of index rank // copies. Then some query "
            "heads are computed twice and others by nobody. Only K and V are copied; each rank has its own queries.",
            "the query range: it goes by the rank alone.",
        ),
        Mutant(
            "rounded where it should refuse",
            _rounds_down,
            "Your ranges are right where they can be. Where the heads do not come out even you rounded down, and some "
            "heads belong to nobody, or a rank's queries to two KV heads of which it has one.",
            "raise a ValueError unless kv divides heads, tp divides heads, and of tp and kv one divides the other.",
        ),
    ),
)
