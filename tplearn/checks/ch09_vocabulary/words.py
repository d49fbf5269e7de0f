"""Exercise 09.1: which words a rank owns, and how many rows every rank has."""

import torch

from tplearn.checks.exercise import Case, Exercise, Mutant


def words_of_rank(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    """(start, stop, rows): the words [start, stop) of `rank`, and the rows of every rank, padding included."""
    rows = -(-vocab_size // world_size)
    return min(rank * rows, vocab_size), min((rank + 1) * rows, vocab_size), rows


def _cases(generator: torch.Generator) -> list[Case]:
    some = int(torch.randint(50, 200, (), generator=generator))
    sizes = {1: (131,), 2: (11, some), 3: (11, 131), 4: (131, 9, 5, 8, some)}  # 5 on 4 ranks: the last one has no word
    return [Case(tp, (size, rank, tp)) for tp, own in sizes.items() for size in own for rank in range(tp)]


def _remainder_dropped(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    rows = vocab_size // world_size
    return rank * rows, (rank + 1) * rows, rows


def _last_takes_the_rest(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    rows = vocab_size // world_size
    stop = vocab_size if rank == world_size - 1 else (rank + 1) * rows
    return rank * rows, stop, stop - rank * rows


def _spread(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    rows, rest = divmod(vocab_size, world_size)
    start = rank * rows + min(rank, rest)
    own = rows + (rank < rest)
    return start, start + own, own


def _padding_counted(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    rows = -(-vocab_size // world_size)
    return rank * rows, (rank + 1) * rows, rows


def _start_beyond_the_end(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    rows = -(-vocab_size // world_size)
    return rank * rows, min((rank + 1) * rows, vocab_size), rows


WORDS_OF_RANK = Exercise(
    number="09.1",
    name="words_of_rank",
    points=5,
    difficulty=1,
    minutes=6,
    reference=words_of_rank,
    cases=_cases,
    mutants=(
        Mutant(
            "remainder dropped",
            _remainder_dropped,
            "Your ranks have ⌊words/p⌋ rows each, so the last words belong to nobody. Looking one of them up gives a "
            "vector of zeros, and it can never be the next word.",
            "the division: it has to round up.",
        ),
        Mutant(
            "the last rank takes the rest",
            _last_takes_the_rest,
            "Every word has an owner, but the last rank has more rows than the others. Collectives want the same shape "
            "on every rank, and the loss would wait for the slowest. Give all ranks ⌈words/p⌉ rows and pad the last.",
            "rows must be the same number on every rank.",
        ),
        Mutant(
            "remainder spread over the first ranks",
            _spread,
            "You gave the first ranks one word more each, as torch.tensor_split does. Every word has an owner, but "
            "ranks differ in their number of rows. Fill the ranks up one after the other; the padding comes at the "
            "very end.",
            "start of rank r is r · rows, with one number of rows for all.",
        ),
        Mutant(
            "padding counted as words",
            _padding_counted,
            "Your last ranks claim words that do not exist: stop is above vocab_size. Rows of padding would then count "
            "as words in the softmax.",
            "stop, on the last ranks: never beyond vocab_size.",
        ),
        Mutant(
            "start beyond the end",
            _start_beyond_the_end,
            "stop is right, but on a rank without words start is above it: such a rank owns minus some words, and "
            "rows − (stop − start) gives it more padding than it has rows.",
            "5 words on 4 ranks have 2 rows each: rank 3 starts and stops at 5.",
        ),
    ),
)
