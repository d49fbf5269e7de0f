"""Exercise 06.1: the inner product of several pairs over ranks, where a copy is not another number."""

from torch import Generator, Tensor, zeros

from tplearn.checks.ch06_backward.wires import summed
from tplearn.checks.ch06_backward.wrong.inner import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.ranks import per_rank

KINDS = (["one"], ["each"], ["one", "each", "one"], ["each", "one", "each"])


def inner_product(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    """a[i], b[i]: one shape; kinds[i]: "one" or "each" → Σᵢ <a[i], b[i]> over the world, a scalar, on every rank."""
    totals = {kind: zeros((), dtype=a[0].dtype) for kind in ("one", "each")}
    for mine, other, kind in zip(a, b, kinds, strict=True):
        totals[kind] = totals[kind] + (mine * other).sum()
    return totals["one"] + (summed(totals["each"]) if "each" in kinds else 0)


def _pair(generator: Generator, tp: int, kind: str) -> list[tuple[Tensor, Tensor]]:
    """(a, b) of each rank. With "each" the ranks' shapes may differ, and one rank may have no rows."""
    columns = pick(generator, 3, 5)
    if kind == "one":
        whole = [randn(generator, 4, columns) for _ in range(2)]
        return [tuple(tensor.clone() for tensor in whole) for _ in range(tp)]
    shapes = [((rank + 2) % (tp + 1), columns) for rank in range(tp)]
    return [(randn(generator, *shape), randn(generator, *shape)) for shape in shapes]


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (2, 3, 4):
        for kinds in KINDS:
            pairs = [_pair(generator, tp, kind) for kind in kinds]
            a, b = ([[of_ranks[rank][k] for of_ranks in pairs] for rank in range(tp)] for k in (0, 1))
            cases.append(Case(tp, (per_rank(a), per_rank(b), kinds), label=", ".join(kinds)))
    return cases


INNER_PRODUCT = Exercise(
    number="06.1",
    name="inner_product",
    points=5,
    difficulty=1,
    minutes=8,
    reference=inner_product,
    cases=_cases,
    ranks=True,
    mutants=MUTANTS,
)
