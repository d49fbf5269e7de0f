"""A tensor that is made of the right one's slices, in other places or several times, or that is longer or shorter."""

from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.leaf import Leaf, wrong_pairs

MOST = 12  # slices that are listed
ZEROS = "zeros"
REPEATED = " Is one tensor used for several, as in [t] * p?"


def slices(leaves: list[Leaf]) -> str | None:
    """Which slice of the right tensor, or zeros, stands at each place of the wrong one, on the largest tp."""
    found = [(leaf, rank, _places(leaf.got[rank], leaf.want[rank], leaf.tp)) for leaf in leaves for rank in leaf.wrong]
    found = [(leaf, rank, places) for leaf, rank, places in found if leaf.want[rank].numel()]
    if not found or any(places is None for _, _, places in found):
        return None
    leaf, rank, (dim, places) = max(found, key=lambda one: one[0].tp)
    whose = f"rank {rank}'s" if len(leaf.want) > 1 else "yours"
    shown = ", ".join(map(str, places))
    held = [place for place in places if place != ZEROS]
    return (
        f"On {leaf.ranks}, cut {whose} along dim {dim} into {len(places)} slices: they are slices {shown} of the "
        f"right one.{REPEATED * (len(set(held)) < len(held))}"
    )


def _places(got: Tensor, want: Tensor, tp: int) -> tuple[int, list[int | str]] | None:
    """(dim, which slice of `want` each slice of `got` along it equals): of tp slices, or of one for each index."""
    if got.shape != want.shape or not want.is_floating_point():
        return None
    for count in (tp, None):
        for dim, size in enumerate(want.shape):
            n = count or size
            if 1 < n <= MOST and size % n == 0:
                places = [_place(own, k, want.chunk(n, dim)) for k, own in enumerate(got.chunk(n, dim))]
                if None not in places and set(places) != {ZEROS}:
                    return dim, places
    return None


def _place(own: Tensor, k: int, of_want: tuple[Tensor, ...]) -> int | str | None:
    for index in (k, *range(len(of_want))):
        if first_difference(own, of_want[index]) is None:
            return index
    return None if own.any() else ZEROS


def holes(leaves: list[Leaf]) -> str | None:
    """Zeros in the place of numbers, and nothing else wrong."""
    pairs = list(wrong_pairs(leaves))
    if any(got.shape != want.shape or not got.any() or not want.is_floating_point() for _, got, want in pairs):
        return None
    if all(first_difference(got, want * (got != 0)) is None for _, got, want in pairs):
        return "Wherever yours is not zero, it is right: the zeros stand where numbers are due."
    return None


def lengths(leaves: list[Leaf]) -> str | None:
    """The right one with something more, or without its end."""
    found = {_length(got, want) for _, got, want in wrong_pairs(leaves)}
    return found.pop() if len(found) == 1 else None


def _length(got: Tensor, want: Tensor) -> str | None:
    if got.ndim != want.ndim or got.shape == want.shape or got.is_floating_point() != want.is_floating_point():
        return None
    filled = got[got != 0]
    if got.numel() > want.numel() and first_difference(filled, want.flatten()) is None:
        return "Without its zeros, yours is the right one."
    differ = [dim for dim, sizes in enumerate(zip(got.shape, want.shape, strict=True)) if sizes[0] != sizes[1]]
    if len(differ) != 1:
        return None
    (dim,) = differ
    mine, due = got.shape[dim], want.shape[dim]
    common = min(mine, due)
    if not common:
        return None
    for start, end in (("begins", 0), ("ends", 1)):
        parts = (tensor.narrow(dim, (tensor.shape[dim] - common) * end, common) for tensor in (got, want))
        if first_difference(*parts) is None:
            return (
                f"Yours {start} with all of the right one, and has more along dim {dim}."
                if mine > due
                else f"Yours is right, but only the {'last' if end else 'first'} part of what is due along dim {dim}."
            )
    return None
