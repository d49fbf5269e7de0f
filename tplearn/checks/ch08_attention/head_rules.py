"""Wrong rules for the heads of a rank: other KV heads, other query heads, other ends, other refusals."""

from collections.abc import Callable

Ranges = tuple[tuple[int, int], tuple[int, int]]
Answer = Callable[[int, int, int, int], Ranges]
Rule = Callable[[int, int, int, int], tuple[int, int]]


def heads_of_rank(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    """((first query head, stop), (first KV head, stop)) of `rank`."""
    even = num_kv_heads % world_size == 0 or world_size % num_kv_heads == 0
    if num_heads % num_kv_heads or num_heads % world_size or not even:
        raise ValueError(f"{num_heads} heads and {num_kv_heads} KV heads cannot be shared by {world_size} ranks")
    queries, keys = num_heads // world_size, max(1, num_kv_heads // world_size)
    first = rank * num_kv_heads // world_size
    return (rank * queries, (rank + 1) * queries), (first, first + keys)


def ranges_with(
    keys: Rule | None = None,
    queries: Rule | None = None,
) -> Answer:
    """Right refusals, and another rule for the KV heads or for the query heads."""

    def answer(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
        sizes = (num_heads, num_kv_heads, rank, world_size)
        right = heads_of_rank(*sizes)
        return (queries(*sizes) if queries else right[0]), (keys(*sizes) if keys else right[1])

    return answer


def dealt(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    size = max(1, kv_heads // p)
    first = (rank * size) % kv_heads
    return first, first + size


def by_kv_heads(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    first = rank // kv_heads
    return heads_of_rank(heads, kv_heads, rank, p)[1] if kv_heads >= p else (first, first + 1)


def one_further(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    if kv_heads >= p:
        return heads_of_rank(heads, kv_heads, rank, p)[1]
    first = (rank + 1) // (p // kv_heads)
    return first, first + 1


def own(count: int, rank: int, p: int) -> tuple[int, int]:
    return rank * count // p, (rank + 1) * count // p


def rounded_stop(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return own(kv_heads, rank, p)


def as_many_as_queries(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return own(heads, rank, p)


def none_left(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return rank * (kv_heads // p), (rank + 1) * (kv_heads // p)


def always_one(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    first = heads_of_rank(heads, kv_heads, rank, p)[1][0]
    return first, first + 1


def all_of_them(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    return 0, kv_heads


def last_for_stop(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    queries, keys = heads_of_rank(num_heads, num_kv_heads, rank, world_size)
    return (queries[0], queries[1] - 1), (keys[0], keys[1] - 1)


def count_for_stop(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    queries, keys = heads_of_rank(num_heads, num_kv_heads, rank, world_size)
    return (queries[0], queries[1] - queries[0]), (keys[0], keys[1] - keys[0])


def local(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    """Counted from 0 on every rank."""
    queries, keys = heads_of_rank(num_heads, num_kv_heads, rank, world_size)
    return (0, queries[1] - queries[0]), (0, keys[1] - keys[0])


def of_the_group(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    """All query heads of the rank's KV heads, which the copies share."""
    first, stop = heads_of_rank(heads, kv_heads, rank, p)[1]
    return first * heads // kv_heads, stop * heads // kv_heads


def by_kv_index(heads: int, kv_heads: int, rank: int, p: int) -> tuple[int, int]:
    size = heads // p
    first = rank // max(1, p // kv_heads) * size
    return first, first + size


def careless(groups: bool = True, heads: bool = True, kv: bool = True) -> Answer:
    """Right ranges; of the three refusals, those that are False are missing."""

    def answer(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
        refused = (groups and num_heads % num_kv_heads) or (heads and num_heads % world_size)
        if refused or (kv and num_kv_heads % world_size and world_size % num_kv_heads):
            raise ValueError("the heads do not come out even")
        first = rank // max(1, world_size // num_kv_heads) * max(1, num_kv_heads // world_size)
        size, kv_size = num_heads // world_size, max(1, num_kv_heads // world_size)
        return (rank * size, (rank + 1) * size), (first, first + kv_size)

    return answer


def no_copies(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    if num_kv_heads % world_size:
        raise ValueError("the KV heads do not come out even")
    return heads_of_rank(num_heads, num_kv_heads, rank, world_size)
