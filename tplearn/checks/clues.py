"""What the wrong numbers have to do with the right ones: "exactly tp times", "rank 0's on every rank", "float32".

Each clue is a fact about every wrong value of one aspect, on every case. It names no cause: it says what can be seen.
"""

from collections.abc import Callable

import torch

from tplearn.checks.leaf import Leaf, kind_of, wrong_pairs
from tplearn.checks.mixture import mixture
from tplearn.checks.other_ranks import copies, equal, partial
from tplearn.checks.relations import ELSEWHERE, FACTORS, digits_shared, factor_of, place_of_right, rearranged
from tplearn.checks.slices import holes, lengths, slices


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
    return "Yours is zero everywhere." if all(not got.any() for _, got, _ in wrong_pairs(leaves)) else None


def _ratio(leaves: list[Leaf]) -> str | None:
    """One factor for every wrong tensor, as a number or as a function of tp."""
    factors = [(tp, factor_of(got, want)) for tp, got, want in wrong_pairs(leaves)]
    if any(factor is None for _, factor in factors):
        return None
    tps = {tp for tp, _ in factors}
    for text, function in FACTORS:
        if tps == {1} and function(1) != function(7):
            continue  # on one rank nothing can be said about tp
        if all(abs(factor - function(tp)) <= 1e-9 * max(1.0, abs(function(tp))) for tp, factor in factors):
            alone = f" (tp = {min(tps)})" if len(tps) == 1 < min(tps) else ""
            return f"Yours is exactly {text} the right one{alone}."
    return None


def _difference(leaves: list[Leaf]) -> str | None:
    """Yours minus the right one is a multiple of an argument."""
    names = set.intersection(*(set(leaf.inputs) for leaf in leaves)) if leaves else set()
    if not all(leaf.alike_in_shape for leaf in leaves):
        return None
    for name in sorted(names):
        factors = []
        for leaf in leaves:
            for rank in leaf.wrong:
                arguments = leaf.inputs[name]
                argument = arguments[rank if len(arguments) > 1 else 0]
                try:
                    whole = argument.expand_as(leaf.want[rank])
                except RuntimeError:
                    whole = torch.zeros(())
                factors.append((leaf.tp, factor_of(leaf.got[rank] - leaf.want[rank], whole)))
        if any(factor is None for _, factor in factors):
            continue
        for text, function in DIFFERENCES:
            if all(abs(factor - function(tp)) <= 1e-9 * max(1.0, abs(function(tp))) for tp, factor in factors):
                return f"Yours minus the right one is {text}{name}."
    return None


DIFFERENCES: tuple[tuple[str, Callable[[int], float]], ...] = (
    ("(tp − 1) · ", lambda tp: tp - 1),
    ("minus ", lambda tp: -1),
    ("", lambda tp: 1),
    ("tp · ", lambda tp: tp),
    ("minus (tp − 1) · ", lambda tp: 1 - tp),
    ("(1/tp − 1) · ", lambda tp: 1 / tp - 1),
)


def _shifted(leaves: list[Leaf]) -> str | None:
    """The same number too much everywhere, which is a function of tp."""
    if not all(leaf.alike_in_shape and leaf.got[0].is_floating_point() for leaf in leaves):
        return None
    for text, function in (("log(tp)", lambda tp: torch.log(torch.tensor(float(tp))).item()), ("1", lambda tp: 1.0)):
        for sign, word in ((1, "more"), (-1, "less")):
            if all(equal(got, want + sign * function(tp)) for tp, got, want in wrong_pairs(leaves)):
                return f"Yours is exactly {text} {word} than the right one, everywhere."
    return None


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
    found = {rearranged(got, want) for _, got, want in wrong_pairs(leaves)}
    alike = found.pop() if len(found) == 1 else None if None in found else ELSEWHERE
    return slices(leaves) or alike if alike in (None, ELSEWHERE) else alike


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
    found = {place_of_right(got, want) for _, got, want in wrong_pairs(leaves)}
    return found.pop() if len(found) == 1 else None


def _not_finite(leaves: list[Leaf]) -> str | None:
    pairs = [(got, want) for _, got, want in wrong_pairs(leaves)]
    if all(got.shape == want.shape and bool((got.isnan() & ~want.isnan()).any()) for got, want in pairs):
        return "NaN comes from 0 · ∞, ∞ − ∞ or 0 / 0."
    return None


LOOKS = (
    _zero,
    _ratio,
    copies,
    partial,
    mixture,
    _difference,
    _shifted,
    _whole,
    _order,
    holes,
    lengths,
    _precision,
    _not_finite,
    _where,
)
