"""Wrong rules for the words of a rank, for exercise 09.1: other rows, other ranges, other ends."""

from collections.abc import Callable

from tplearn.checks.ch09_vocabulary.inputs import words_of

Words = tuple[int, int, int]


def by_rows(rows: Callable[[int, int, int], int]) -> Callable[[int, int, int, int], Words]:
    """Blocks of another number of rows: rows(vocab_size, world_size, multiple)."""

    def answer(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
        each = rows(vocab_size, world_size, multiple)
        return min(rank * each, vocab_size), min((rank + 1) * each, vocab_size), each

    return answer


def up(number: int, by: int) -> int:
    return -(-number // by) * by


def last_takes_the_rest(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    rows = vocab_size // world_size // multiple * multiple
    stop = vocab_size if rank == world_size - 1 else (rank + 1) * rows
    return rank * rows, stop, stop - rank * rows


def spread(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    each, rest = divmod(vocab_size, world_size)
    start = rank * each + min(rank, rest)
    own = each + (rank < rest)
    return start, start + own, own


def spread_and_padded(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    each = -(-vocab_size // world_size)
    return min(rank * each, vocab_size), min((rank + 1) * each, vocab_size), up(each, multiple)


def dealt_and_padded(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    start, stop, _ = spread(vocab_size, rank, world_size, multiple)
    return start, stop, up(-(-vocab_size // world_size), multiple)


def from_zero_to_zero(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    start, stop, rows = words_of(vocab_size, rank, world_size, multiple)
    return (start, stop, rows) if stop > start else (0, 0, rows)


def padding_counted(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    rows = words_of(vocab_size, rank, world_size, multiple)[2]
    return rank * rows, (rank + 1) * rows, rows


def start_beyond_the_end(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    _, stop, rows = words_of(vocab_size, rank, world_size, multiple)
    return rank * rows, stop, rows


def own_rows(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    start, stop, _ = words_of(vocab_size, rank, world_size, multiple)
    return start, stop, stop - start


def last_word(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    start, stop, rows = words_of(vocab_size, rank, world_size, multiple)
    return start, stop - 1, rows


def all_rows(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    start, stop, rows = words_of(vocab_size, rank, world_size, multiple)
    return start, stop, rows * world_size
