"""What `assert_replicated` says: which tensor is another one, on which ranks, and where it begins to differ."""

from dataclasses import dataclass
from typing import NamedTuple

from tplearn.parallel.claims import Claim

NAMES_SHOWN = 5


class Brought(NamedTuple):
    """What one rank wants compared: why that cannot be, or "" and of each claim its name, its kind and that of x."""

    problem: str
    claims: list[list[str]]


@dataclass(frozen=True)
class Difference:
    """Rank `rank` has `ours` where rank `other`, the first that holds the same, has `theirs`: number `at` of x."""

    rank: int
    other: int
    at: int
    ours: object
    theirs: object


def problems_of(brought: list[Brought], ranks: list[int]) -> str:
    """What ranks brought that cannot be compared; "" if they brought tensors."""
    if all(own.problem == brought[0].problem for own in brought):
        return brought[0].problem
    return "; ".join(f"rank {rank}: {own.problem}" for rank, own in zip(ranks, brought, strict=True) if own.problem)


def difference_in_kind(brought: list[Brought], ranks: list[int]) -> str:
    """Of ranks that bring other tensors: one that is not everywhere, or has another shape or dtype."""
    number = next(n for n, own in enumerate(brought) if own.claims != brought[0].claims)
    here, there = f"rank {ranks[number]}", f"rank {ranks[0]}"
    ours, theirs = ({name: kind for name, kind, _ in brought[n].claims} for n in (number, 0))
    for names, others, on, not_on in ((ours, theirs, here, there), (theirs, ours, there, here)):
        for name in names:
            if name not in others:
                return f"{name} is on {on} and not on {not_on}"
    for name in ours:
        if ours[name] != theirs[name]:
            return f"{name} is {ours[name]} on {here} and {theirs[name]} on {there}"
    pairs = zip(brought[number].claims, brought[0].claims, strict=False)
    name = next((own[0] for own, other in pairs if own != other), "the last of them")
    return f"{here} and {there} bring the same tensors, but cut in another way or in another order, from {name} on"


def difference_in_numbers(claim: Claim, found: list[Difference], suspects: list[str]) -> str:
    """Of ranks whose numbers differ: who, and the first place of all; `suspects`: tensors with other bits, too."""
    first = min(found, key=lambda difference: (difference.at, difference.rank))
    both = f"{first.ours!r} on rank {first.rank}, {first.theirs!r} on rank {first.other}"
    differ = "; ".join(
        f"{_named([difference.rank for difference in found if difference.other == other])} from rank {other}"
        for other in dict.fromkeys(difference.other for difference in found)
    )
    if claim.drawn:
        return (
            f"the shards of {claim.name} are cut from different draws: {differ} (first number of the dense one: {both}"
            "); the same torch.manual_seed on every rank before the module is made works"
        )
    more = list(dict.fromkeys(name for name in suspects if name != claim.name))
    listed = ", ".join(more[:NAMES_SHOWN]) + (", ..." if len(more) > NAMES_SHOWN else "")
    return f"copies of {claim.name} differ: {differ}, first at {claim.index(first.at)}: {both}" + (
        f". In {len(more)} more the bits differ: {listed}" if more else ""
    )


def _named(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
