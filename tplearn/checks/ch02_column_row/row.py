"""Exercise 02.4: a layer cut by its inputs ends in a sum, and the bias enters once."""

from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import BATCH, SIZES, TOKENS, copies, features
from tplearn.checks.ch02_column_row.row_wrong import MUTANTS
from tplearn.checks.ch02_column_row.wrong import products
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_reduce

Shards = list[Tensor]


def row_parallel(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    """x_shards[r]: [batch, tokens, in_r]; weight_shards[r]: [out, in_r]; biases[r]: [out], a copy each → p results."""
    sums = all_reduce(products(x_shards, weight_shards), ledger=ledger)
    return [y + bias for y, bias in zip(sums, biases, strict=True)]


def row_cases(generator: Generator) -> list[Case]:
    """One layer on each tp, cut by its inputs into shards of different widths; every rank has its own bias."""
    cases = []
    for tp in SIZES:
        out_features, _ = features(generator, tp)
        widths = [pick(generator, 2, 3) + 2 * rank for rank in range(tp)]  # never all alike
        xs = [randn(generator, BATCH, TOKENS, width) for width in widths]
        weights = [randn(generator, out_features, width) for width in widths]
        cases.append(Case(tp, (xs, weights, copies(1 + randn(generator, out_features), tp))))
    return cases


ROW_PARALLEL = Exercise(
    number="02.4",
    name="row_parallel",
    points=10,
    difficulty=2,
    minutes=12,
    reference=row_parallel,
    cases=row_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=MUTANTS,
)
