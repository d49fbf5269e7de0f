"""What the wrong answers to exercise 17.6 show: cuts that leave some ranks idle, and runs that are others'."""

from tplearn.checks.exercise import mutants_of

SECOND = "the second run: the later the first run begins, the earlier the second one."
TWO_RUNS = "the result: two runs of tokens / (2p) neighbours each."


def wrong_zigzag(rank: int, p: int, tokens: int, wrong: str) -> list[int]:
    """A rank's tokens, with one thing `wrong`."""
    size, chunks = tokens // (2 * p), 2 * p
    if wrong == "contiguous":
        return list(range(rank * 2 * size, (rank + 1) * 2 * size))
    if wrong == "striped":
        return list(range(rank, tokens, p))
    if wrong == "token by token":
        return sorted(k for k in range(tokens) if k % chunks in (rank, chunks - 1 - rank))
    if wrong == "stripes of chunks":
        return list(range(rank * size, (rank + 1) * size)) + list(range((p + rank) * size, (p + rank + 1) * size))
    if wrong == "one too far":
        return [k for k in _runs(size, rank, chunks - rank) if k < tokens]
    if wrong == "mirrored in the first half":
        return _runs(size, p - 1 - rank, p + rank)
    if wrong == "pairs of neighbours":
        other = rank ^ 1 if rank ^ 1 < p else rank
        return _runs(size, rank, chunks - 1 - other)
    if wrong == "p chunks":
        return _runs(2 * size, rank, p - 1 - rank)
    own = _runs(size, rank, chunks - 1 - rank)
    return {
        "first run alone": own[:size],
        "second run alone": own[size:],
        "second run backwards": own[:size] + own[size:][::-1],
        "second run first": own[size:] + own[:size],
        "from one": [k + 1 for k in own],
        "runs as lists": [own[:size], own[size:]],
        "chunks": [rank, chunks - 1 - rank],
    }[wrong]


def _runs(size: int, *chunks: int) -> list[int]:
    return [chunk * size + k for chunk in chunks for k in range(size)]


MUTANTS = mutants_of(
    wrong_zigzag,
    (
        "contiguous",
        "Each rank of yours has one run of neighbours. A late token has more keys to look at: the last rank has about "
        "twice the work of an average one, and everybody waits for it.",
        SECOND,
    ),
    (
        "striped",
        "You dealt single tokens out in turn. The work is nearly even, and a later rank still has more of it; and a "
        "rank's tokens are no runs, so each pair of chunks needs a mask.",
        TWO_RUNS,
    ),
    (
        "token by token",
        "You went to and fro over single tokens. The work is even, but a rank's tokens are no runs, so each pair of "
        "chunks needs a mask.",
        TWO_RUNS,
    ),
    (
        "stripes of chunks",
        "You gave rank r chunk r of the first half and chunk r of the second one. In both it is the later ranks that "
        "have more work.",
        SECOND,
    ),
    (
        "one too far",
        "Your second run is one chunk too far to the right. Of 2p chunks the last one is number 2p − 1.",
        "the number of the second chunk.",
    ),
    (
        "mirrored in the first half",
        "The work is even, but your rank 0 has the two runs in the middle. Rank 0 has the first tokens, and rank r's "
        "first run is the r-th.",
        "which run is whose.",
    ),
    (
        "pairs of neighbours",
        "Ranks 0 and 1 have each other's second run, and so on. The work of a rank's two runs must make up for each "
        "other.",
        SECOND,
    ),
    (
        "p chunks",
        "You cut the tokens into p chunks: each rank has two of them, and each token is on two ranks.",
        "the number of chunks: 2p.",
    ),
    ("first run alone", "Half of the tokens belong to nobody: each rank has its first run alone.", SECOND),
    ("second run alone", "Half of the tokens belong to nobody: each rank has its second run alone.", TWO_RUNS),
    ("second run backwards", "Your second run goes backwards. Tokens are due in their order.", "the second range."),
    ("second run first", "Your second run comes first. Tokens are due in their order.", "the order of the two runs."),
    ("from one", "You count tokens from 1. The first one is token 0.", "the numbers."),
    ("runs as lists", "Your two runs are lists of their own. One flat list is due.", "the result."),
    ("chunks", "You gave the numbers of the two chunks. Due are the tokens in them.", "the result."),
)
