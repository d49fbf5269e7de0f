"""What the wrong numbers have to do with the right ones: "exactly tp times", "rank 0's on every rank", "float32".

Each clue is a fact about every wrong value of one aspect, on every case. It names no cause: it says what can be seen.
"""

import torch

from tplearn.checks.factors import difference, ratio, shifted_by
from tplearn.checks.formula import formula
from tplearn.checks.leaf import Leaf, kind_of, telling_sizes, wrong_pairs
from tplearn.checks.mixture import mixture
from tplearn.checks.other_ranks import copies, dealt_otherwise, partial
from tplearn.checks.relations import ELSEWHERE, ORDER, digits_shared, place_of_right, rearranged
from tplearn.checks.slices import holes, lengths, slices
from tplearn.checks.spots import at_the_largest, number_for_infinity

ZERO = "Yours is zero everywhere."


def clues(leaves: list[Leaf]) -> list[str]:
    """Sentences that hold for all leaves, the most telling first; at most two."""
    wrong = [leaf for leaf in leaves if any(leaf.want[rank].numel() for rank in leaf.wrong)]
    if not all(kind_of(got) == kind_of(want) != "complex" for _, got, want in wrong_pairs(wrong)):
        return []  # the sentence about the type says it all
    found: list[str] = []
    for look in LOOKS:
        sentence = look(wrong) if wrong else None
        if sentence and sentence not in found:
            found.append(sentence)
    return found[:2]


def _zero(leaves: list[Leaf]) -> str | None:
    if any(got.any() or not got.numel() for _, got, _ in wrong_pairs(leaves)):
        return None
    return ZERO if any(leaf.want[0].ndim for leaf in leaves) else "Yours is zero."


def _whole(leaves: list[Leaf]) -> str | None:
    """A number without the fraction that is due."""
    pairs = [(got, want) for _, got, want in wrong_pairs(leaves)]
    if any(got.ndim or want.ndim or not torch.isfinite(got) for got, want in pairs):
        return None
    if all(got == got.round() and want != want.round() and abs(got - want) < 0.01 * abs(want) for got, want in pairs):
        return "Yours are whole numbers, where fractions are due: is there a //, an int() or a round()?"
    return None


def _order(leaves: list[Leaf]) -> str | None:
    """The right numbers in other places: in one order everywhere, or slice by slice."""
    told = [(leaf.ranks, rearranged(got, want)) for leaf, got, want in wrong_pairs(leaves)]
    found = {sentence for _, sentence in told}
    alike = found.pop() if len(found) == 1 else None if None in found else ELSEWHERE
    if alike not in (None, ELSEWHERE):
        return alike
    sliced = slices(leaves)
    along = {(sentence or "").partition(":")[0] for _, sentence in told}
    if not sliced and len(along) == 1 and ORDER in next(iter(along)):  # one dim, in orders that go with the sizes
        return f"On {told[0][0]}: {told[0][1]}"
    return sliced or alike


def _precision(leaves: list[Leaf]) -> str | None:
    digits = [digits_shared(got, want) for _, got, want in wrong_pairs(leaves)]
    if None in digits:
        return None
    text = f"Yours and the right one agree to {min(digits)} digits."
    return text + " float32 keeps about 7: is something computed in it?" * (min(digits) <= 8)


def _where(leaves: list[Leaf]) -> str | None:
    """The place that is right: some ranks, or some rows."""
    several = [leaf for leaf in leaves if len(leaf.want) > 1]
    if several and len(several) == len(leaves):
        if all(leaf.wrong == list(range(1, len(leaf.want))) for leaf in leaves):
            return "Right on rank 0, wrong on all others."
        if all(leaf.wrong == list(range(len(leaf.want) - 1)) for leaf in leaves):
            return "Right on the last rank, wrong on all others."
        if all(leaf.wrong == [0] for leaf in leaves):
            return "Wrong on rank 0 only."
        if all(leaf.wrong == [len(leaf.want) - 1] for leaf in leaves):
            return "Wrong on the last rank only."
    places = [(leaf, place_of_right(got, want)) for leaf, got, want in wrong_pairs(leaves)]
    found = {place for _, place in places}
    if None in found or len({(side, dim) for side, _, _, dim in found}) > 1:
        return None
    side, count, size, dim = next(iter(found))
    shown = f"{count} of {size}" if len(found) == 1 else _share(places)
    return f"The {side} {shown} along dim {dim} are right, the others wrong." if shown else None


def _share(places: list) -> str:
    for name in telling_sizes([leaf for leaf, _ in places]):
        if all(count * leaf.sizes[name] == size for leaf, (_, count, size, _) in places):
            return f"size / {name}"
    return "half" if all(2 * count == size for _, (_, count, size, _) in places) else ""


def _not_finite(leaves: list[Leaf]) -> str | None:
    pairs = [(got, want) for _, got, want in wrong_pairs(leaves)]
    if all(got.shape == want.shape and bool((got.isnan() & ~want.isnan()).any()) for got, want in pairs):
        return "NaN comes from 0 · ∞, ∞ − ∞ or 0 / 0."
    return None


LOOKS = (
    _zero,
    ratio,
    formula,
    copies,
    partial,
    mixture,
    difference,
    shifted_by,
    _whole,
    _order,
    dealt_otherwise,
    holes,
    lengths,
    _precision,
    _not_finite,
    number_for_infinity,
    at_the_largest,
    _where,
)
