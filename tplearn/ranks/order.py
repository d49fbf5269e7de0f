"""Collectives of the same kind that two ranks run in another order: legal for the backend, and easily a mistake."""

from collections import Counter

from tplearn.ranks.diagnose import Judge

Line = tuple[str, str]  # source, code


def swapped(judge: Judge) -> list[str]:
    """Pairs of lines that two ranks of a group run in opposite order, though both run all lines equally often."""
    found: dict[tuple[Line, Line], str] = {}
    for by_rank in judge.groups.values():
        lines = {rank: [(row.source, row.code) for row in rows] for rank, rows in by_rank.items()}
        ranks = sorted(lines)
        for a, b in zip(ranks, ranks[1:], strict=False):
            if Counter(lines[a]) != Counter(lines[b]):
                continue  # one of them takes another way through the program, as with uneven inputs
            for one, other in zip(lines[a], lines[b], strict=True):
                pair = tuple(sorted((one, other)))
                if one != other and pair not in found:
                    found[pair] = _report(a, one, b, other)
    return list(found.values())


def _report(a: int, one: Line, b: int, other: Line) -> str:
    return (
        "Two ranks run collectives of the same kind in another order, so that these two lines met.\n"
        f"  rank {a}  {one[0]}:  {one[1]}\n"
        f"  rank {b}  {other[0]}:  {other[1]}"
    )
