"""Wrong answers to 06.1: an inner product over ranks."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.wires import averaged, same, summed
from tplearn.checks.exercise import Mutant

Pairs = list[Tensor]
Ending = Callable[[Tensor], Tensor]


def _products(a: Pairs, b: Pairs) -> list[Tensor]:
    return [(mine * other).sum() for mine, other in zip(a, b, strict=True)]


def _total(numbers: list[Tensor]) -> Tensor:
    return sum(numbers, torch.zeros((), dtype=torch.float64))


def _by_kind(one: Ending, each: Ending) -> Callable[[Pairs, Pairs, list[str]], Tensor]:
    """The products of each kind added up at home, then another ending for each."""

    def answer(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
        products = list(zip(_products(a, b), kinds, strict=True))
        ends = []
        for kind, ending in (("one", one), ("each", each)):
            mine = [product for product, of in products if of == kind]
            ends += [ending(_total(mine))] if mine else []
        return _total(ends)

    return answer


def _message_each(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    ends = {"one": same, "each": summed}
    return _total([ends[kind](product) for product, kind in zip(_products(a, b), kinds, strict=True)])


def _copies_once_then_summed(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    p = dist.get_world_size()
    return summed(_total([x / p if kind == "one" else x for x, kind in zip(_products(a, b), kinds, strict=True)]))


def _first_kind_for_all(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    return _by_kind(same, summed)(a, b, kinds[:1] * len(kinds))


def _first_pair(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    return _by_kind(same, summed)(a[:1], b[:1], kinds[:1])


def _sums_multiplied(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    sums = [[x.sum().reshape(1) for x in of] for of in (a, b)]
    return _by_kind(same, summed)(*sums, kinds)


def _norm(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    return _by_kind(same, summed)(a, a, kinds)


def _absent_without_numbers(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    holds = any(x.numel() for x, kind in zip(a, kinds, strict=True) if kind == "each")
    return _by_kind(same, summed if holds else same)(a, b, kinds)


def _summed_first(a: Pairs, b: Pairs, kinds: list[str]) -> Tensor:
    def whole(xs: Pairs) -> Pairs:
        return [summed(x) if kind == "each" else x for x, kind in zip(xs, kinds, strict=True)]

    return _total(_products(whole(a), whole(b)))


MUTANTS = (
    Mutant(
        "copies counted",
        _by_kind(summed, summed),
        'You summed over ranks for both kinds. Of kind "one" all ranks hold the same tensor, so its numbers were '
        "counted p times.",
        'what "one" means: p copies of one tensor, not p tensors.',
    ),
    Mutant(
        "copies counted, in one message",
        lambda a, b, kinds: summed(_total(_products(a, b))),
        'You added all products up and summed the total over ranks. In it are those of kind "one", which every rank '
        "has: they were counted p times.",
        'what "one" means: p copies of one tensor, not p tensors.',
    ),
    Mutant(
        "never summed",
        _by_kind(same, same),
        'You never asked the other ranks. Of kind "each" every rank holds numbers of its own, and the inner product '
        "runs over all of them: <a, b> = Σ over ranks of (a · b).",
        'the sum over ranks for kind "each".',
    ),
    Mutant(
        "kinds confused",
        _by_kind(summed, same),
        'The two kinds have changed places: you summed the copies of "one" over ranks, and left the numbers of "each" '
        "unsummed.",
        "which kind goes into the all_reduce.",
    ),
    Mutant(
        "mean of all",
        _by_kind(averaged, averaged),
        'You took the mean over ranks. For copies that changes nothing, so "one" is right, at the price of a message. '
        'For "each" it is the sum that is due, and yours is p times too small.',
        'the division, and whether "one" needs any message.',
    ),
    Mutant(
        "mean for sum",
        _by_kind(same, averaged),
        'For kind "each" you took the mean over ranks. All numbers of all ranks count: the sum is due, and yours is p '
        "times too small.",
        "the division by the number of ranks.",
    ),
    Mutant(
        "summed before the product",
        _summed_first,
        "You summed a and b over ranks, then multiplied. That makes every a meet every b: (Σ a)·(Σ b) is not Σ (a·b), "
        "and the ranks' shapes may differ. Multiply at home, then sum one number.",
        "the order of the product and of the all-reduce, and the bytes in the ledger.",
        alone=True,
    ),
    Mutant(
        "absent without numbers",
        _absent_without_numbers,
        'A rank that has no numbers of kind "each" does not come to the sum, and the others wait for it. It has a zero '
        "to bring: all ranks call a collective or none does, so that must not depend on what one rank holds.",
        "an if around the all_reduce that looks at sizes: kinds is the same on every rank, sizes are not.",
        alone=True,
    ),
    Mutant(
        "a message for each pair",
        _message_each,
        'The numbers are right, with one all_reduce for each pair of kind "each". Add up at home first: one number, '
        "one message.",
        "what is added before the all_reduce.",
    ),
    Mutant(
        "a message for copies",
        _copies_once_then_summed,
        'The numbers are right, but where there is only "one" you sent a message: a sum over ranks of zeros, or of '
        "copies that are made to count once. All ranks know that result already.",
        'the ledger for kinds of "one" alone: it should be empty.',
    ),
    Mutant(
        "the first kind for all",
        _first_kind_for_all,
        "You treat all pairs as the first one. Each has a kind of its own: kinds[i].",
        "kinds[0], or an if outside the loop over pairs.",
    ),
    Mutant(
        "the first pair only",
        _first_pair,
        "Only the first pair is in your result. The inner product adds up over all pairs.",
        "the loop over a and b.",
    ),
    Mutant(
        "sums multiplied",
        _sums_multiplied,
        "You multiplied the sum of a by the sum of b. The inner product multiplies number by number, then adds up.",
        "(a * b).sum().",
    ),
    Mutant(
        "a with itself",
        _norm,
        "Your result is <a, a>: b is not in it.",
        "which two tensors are multiplied.",
    ),
)
