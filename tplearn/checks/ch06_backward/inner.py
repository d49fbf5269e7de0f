"""Exercise 06.1: the inner product over ranks, where a copy is not another number."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.inputs import averaged, summed
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each, randn
from tplearn.ranks import per_rank


def inner_product(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """a, b: any shape, alike; kind: "one" or "each" → <a, b> over the whole group, a scalar, on every rank."""
    product = (a * b).sum()
    return summed(product) if kind == "each" else product


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, kind in ((2, "one"), (2, "each"), (3, "each"), (4, "one")):
        if kind == "one":
            a, b = randn(generator, 3, 4), randn(generator, 3, 4)
        else:
            a, b = (per_rank(one_each(tp, generator, 3, 4)) for _ in range(2))
        cases.append(Case(tp, (a, b, kind)))
    return cases


def _always_summed(a: Tensor, b: Tensor, kind: str) -> Tensor:
    return summed((a * b).sum())


def _never_summed(a: Tensor, b: Tensor, kind: str) -> Tensor:
    return (a * b).sum()


def _always_averaged(a: Tensor, b: Tensor, kind: str) -> Tensor:
    return averaged((a * b).sum())


def _summed_first(a: Tensor, b: Tensor, kind: str) -> Tensor:
    return (summed(a) * summed(b)).sum() if kind == "each" else (a * b).sum()


def _rank_0_only(a: Tensor, b: Tensor, kind: str) -> Tensor:
    product = (a * b).sum()
    if kind == "one":
        product = product * (dist.get_rank() == 0)
    return summed(product)


INNER_PRODUCT = Exercise(
    number="06.1",
    name="inner_product",
    points=5,
    difficulty=1,
    minutes=6,
    reference=inner_product,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "copies counted",
            _always_summed,
            'You summed over ranks in both cases. With kind "one" all ranks hold the same tensor, so its numbers were '
            "counted tp times: your result is tp · <a, b>.",
            'what kind = "one" means: p copies of one tensor, not p tensors.',
        ),
        Mutant(
            "never summed",
            _never_summed,
            'You never asked the other ranks. With kind "each" every rank holds numbers of its own, and the inner '
            "product runs over all of them: <a, b> = Σ over ranks of (a · b).",
            'the sum over ranks for kind = "each".',
        ),
        Mutant(
            "mean for sum",
            _always_averaged,
            'You took the mean over ranks. For copies that changes nothing, so "one" is right, at the price of a '
            'message. For "each" it is the sum that is due, and yours is tp times too small.',
            'the division, and whether "one" needs any message.',
        ),
        Mutant(
            "summed before the product",
            _summed_first,
            "You summed a and b over ranks, then multiplied. That makes every a meet every b: (Σ a)·(Σ b) is not "
            "Σ (a·b). Multiply at home, then sum one number.",
            "the order of the product and of the all-reduce, and the bytes in the ledger.",
        ),
        Mutant(
            "only rank 0 counts",
            _rank_0_only,
            'The numbers are right, but for "one" you let rank 0 count and told the others by an all-reduce. They all '
            "know the result already: they hold the same tensors. Nothing needs to be sent.",
            'the ledger for kind = "one": it should be empty.',
        ),
    ),
)
