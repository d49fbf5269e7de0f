"""What `assert_replicated` says: which tensor is another one, on which ranks, and where it begins to differ."""

from tplearn.parallel.claims import Claim

NAMES_SHOWN = 5

# Of one rank: (what it brought that cannot be compared or "", [name, kind] of each tensor).
Brought = tuple[str, list[tuple[str, str]]]


def message_of_shapes(brought: list[Brought], ranks: list[int]) -> tuple[type[Exception], str]:
    """For ranks that bring other tensors; ValueError where one brings something that is none."""
    problems = [f"rank {ranks[n]}: {problem}" for n, (problem, _) in enumerate(brought) if problem]
    if len(problems) == len(ranks) and len({problem for problem, _ in brought}) == 1:
        return ValueError, brought[0][0]
    if problems:
        return ValueError, "; ".join(problems)
    first = brought[0][1]
    number = next(n for n, (_, own) in enumerate(brought) if own != first)
    ours, theirs, here, there = brought[number][1], first, f"rank {ranks[number]}", f"rank {ranks[0]}"
    for name, _ in ours:
        if name not in dict(theirs):
            return AssertionError, f"{name} is on {here} and not on {there}"
    for name, _ in theirs:
        if name not in dict(ours):
            return AssertionError, f"{name} is on {there} and not on {here}"
    for (name, kind), (same_name, other) in zip(ours, theirs, strict=False):
        if name == same_name and kind != other:
            return AssertionError, f"{name} is {kind} on {here} and {other} on {there}"
    return AssertionError, f"{here} and {there} bring the same names in another order"


def message_of_numbers(
    claim: Claim, found: dict[int, tuple[int, int, object, object]], later: list[str], ranks: list[int]
) -> str:
    """For numbers that differ: found[rank] = (first place, from which rank, the rank's number, that rank's number)."""
    rank = min(found, key=lambda rank: (found[rank][0], rank))
    at, first, ours, theirs = found[rank]
    both = f"{ours!r} on rank {ranks[rank]}, {theirs!r} on rank {ranks[first]}"
    differ = "; ".join(
        f"{_named([ranks[r] for r in found if found[r][1] == other])} from rank {ranks[other]}"
        for other in dict.fromkeys(entry[1] for entry in found.values())
    )
    if claim.drawn:
        return (
            f"the shards of {claim.name} are cut from different draws: {differ} (first number of the dense one: {both}"
            "); the same torch.manual_seed on every rank before the module is made works"
        )
    more = list(dict.fromkeys(name for name in later if name != claim.name))
    listed = ", ".join(more[:NAMES_SHOWN]) + (", ..." if len(more) > NAMES_SHOWN else "")
    return f"copies of {claim.name} differ: {differ}, first at {claim.index(at)}: {both}" + (
        f". In {len(more)} more the bits differ: {listed}" if more else ""
    )


def _named(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
