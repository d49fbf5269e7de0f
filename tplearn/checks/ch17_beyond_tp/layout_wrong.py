"""Wrong answers to exercise 17.5: other steps between ranks, other beginnings, and other sets."""

from itertools import product
from math import prod

Layout = list[tuple[str, int]]


def wrong_ranks_of(names: list[str], rank: int, layout: Layout, wrong: str) -> list[int]:
    """The ranks of a group, with one thing `wrong`."""
    if wrong == "bits of the rank":
        found = [rank]
        for k, (name, _) in enumerate(reversed(layout)):
            found += [own ^ (1 << k) for own in found if name in names]
        return sorted(found)
    layout = {
        "first varies fastest": layout[::-1],
        "dimensions in alphabetical order": sorted(layout),
        "largest inside": sorted(layout, key=lambda pair: pair[1]),
    }.get(wrong, layout)
    order, sizes = [name for name, _ in layout], dict(layout)
    after = {name: prod(size for _, size in layout[k + 1 :]) for k, name in enumerate(order)}
    place = {name: rank // after[name] % sizes[name] for name in order}
    step = {name: _step(k, layout, wrong, after[name]) for k, name in enumerate(order)}
    if wrong in ("first name alone", "last name alone"):
        names = names[:1] if wrong.startswith("first") else names[-1:]
    if wrong == "names one after the other":
        return sorted({r for name in names for r in wrong_ranks_of([name], rank, layout, "")})
    if wrong == "same place":
        shifts = _same_place(names, layout, after)
        return sorted(sum(place[name] * after[name] for name in names) + shift for shift in shifts)
    first = rank - sum(place[name] * after[name] for name in names)
    if wrong in ("group of rank 0", "numbers in the group"):
        first = 0
    if wrong == "from this rank on":
        first = rank
    if wrong == "neighbours":
        members = prod(sizes[name] for name in names)
        return list(range(rank // members * members, rank // members * members + members))
    places = product(*(range(sizes[name]) for name in names))
    found = [first + sum(k * step[name] for k, name in zip(own, names, strict=True)) for own in places]
    if wrong == "numbers in the group":
        return list(range(len(found)))
    if wrong == "itself left out":
        return sorted(set(found) - {rank})
    return found if wrong == "order of the names" else sorted(found)


def _step(k: int, layout: Layout, wrong: str, after: int) -> int:
    if wrong == "sizes before":
        return prod(size for _, size in layout[:k])
    if wrong == "next size alone":
        return layout[k + 1][1] if k + 1 < len(layout) else 1
    return layout[k][1] if wrong == "own size as the step" else after


def _same_place(names: list[str], layout: Layout, after: dict[str, int]) -> list[int]:
    """The numbers of all places in the other dimensions."""
    others = [(name, size) for name, size in layout if name not in names]
    places = product(*(range(size) for _, size in others))
    return [sum(k * after[name] for k, (name, _) in zip(own, others, strict=True)) for own in places]
