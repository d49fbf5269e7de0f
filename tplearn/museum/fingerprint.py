"""Fingerprints: all that can be seen of exhibits from outside, on several numbers of ranks, as plain data."""

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor

from tplearn import run_ranks
from tplearn.museum.books import PHASES
from tplearn.museum.exhibits import EXHIBITS, find
from tplearn.museum.look import Look, look, twin
from tplearn.museum.marks import Mark, agree, error_of, factor_of, shift_of
from tplearn.museum.sizes import Sizes
from tplearn.ranks import Row
from tplearn.sizes import divisors, require_size

Counts = dict[str, dict[str, int]]  # phase -> op -> how often on a rank


class Reading(TypedDict):
    """What is seen of an exhibit on one number of ranks.

    forward: of the result. gradients: by name, "x" for the input's. ledger and due: collectives of a rank, its own and
    the right model's, {"forward": {"all_reduce": 1}, "backward": {}, "after": {}}. wire: bytes that they make a rank
    send, and held: the share of the dense model's numbers that a rank holds, {"own": ..., "due": ...} both.
    """

    forward: Mark
    gradients: dict[str, Mark]
    ledger: Counts
    due: Counts
    wire: dict[str, int]
    held: dict[str, float]


Fingerprint = dict[int, Reading]  # by number of ranks
NAMES = tuple(exhibit.name for exhibit in EXHIBITS)
SIZES = Sizes()


def fingerprints(
    names: Sequence[str] = NAMES,
    tps: Sequence[int] = (1, 2, 4),
    sizes: Sizes = SIZES,
    seed: int = 0,
    mended: bool = False,
) -> dict[str, Fingerprint]:
    """The fingerprints of exhibits by name: one run of fresh gloo ranks for each number of ranks, all exhibits in it.

    Weights and inputs are drawn from `seed`. mended: of the right models in the places of the exhibits.
    Raises ValueError for a name that is none, and for a number of ranks that does not divide the sizes.
    """
    for tp in tps:
        require_size("tp", tp)
        for field in ("seq", "intermediate", "heads"):
            size = getattr(sizes, field)
            if size % tp:
                works = ", ".join(map(str, divisors(size)))
                raise ValueError(f"tp = {tp} does not divide {field} = {size}; values that work: {works}")
    twins = [twin(find(name), sizes, seed + number) for number, name in enumerate(names)]
    found: dict[str, Fingerprint] = {name: {} for name in names}
    for tp in tps:
        run = run_ranks(look, tp, tuple(names), sizes, seed, mended, timeout=300.0, record=False)
        for number, (name, (right, numbers)) in enumerate(zip(names, twins, strict=True)):
            looks = [of_rank[number] for of_rank in run.values]
            marks = {part: _mark(part, looks, right) for part in right[0]}
            ledgers = looks[0].sent  # any rank talks as much as another
            found[name][tp] = Reading(
                forward=marks.pop("y"),
                gradients=marks,
                ledger=_counts(ledgers["own"]),
                due=_counts(ledgers["due"]),
                wire={side: sum(row.wire_bytes for rows in of for row in rows) for side, of in ledgers.items()},
                held={side: round(max(one.held[side] for one in looks) / numbers, 3) for side in ledgers},
            )
    return found


def _mark(part: str, looks: list[Look], right: tuple[dict[str, Tensor], ...]) -> Mark:
    """Of the result or of one gradient, on all ranks."""
    exact, low = (
        [(rows.here, rows.of(dense[part])) for one in looks for rows in one.seen[k][part]]
        for k, dense in enumerate(right)
    )
    copies: dict[tuple[int, int, int], list[Tensor]] = {}
    for rows in (rows for one in looks for rows in one.seen[0][part]):
        copies.setdefault(rows.key, []).append(rows.here)
    return Mark(
        error=error_of(exact),
        bfloat16=error_of(low),
        factor=factor_of(exact),
        shift=shift_of(exact),
        agree=all(map(agree, copies.values())),
    )


def _counts(phases: list[list[Row]]) -> Counts:
    ops = [[row.op for row in rows] for rows in phases]
    return {phase: {op: of.count(op) for op in dict.fromkeys(of)} for phase, of in zip(PHASES, ops, strict=True)}
