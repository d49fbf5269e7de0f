"""Exercise 02.5: both cuts on an x that is whole or cut, with exactly the collectives that are due."""

from itertools import product

from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import SIZES, copies, features
from tplearn.checks.ch02_column_row.plan_wrong import MUTANTS
from tplearn.checks.ch02_column_row.wrong import output_shards, products
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.checks.traffic import Traffic
from tplearn.simulated import Ledger, all_gather, all_reduce, split

TOKENS = 3
Shards = list[Tensor]


def linear_by_plan(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    """xs[r]: [tokens, in], or [tokens, in/p] where x_is_cut; weight: [out, in]; bias: [out] → p of [tokens, out]."""
    p = len(xs)
    if plan == "column":
        whole = all_gather(xs, -1, ledger=ledger) if x_is_cut else xs
        finished = output_shards(whole, split(weight, p, 0), split(bias, p, 0))
        return all_gather(finished, -1, ledger=ledger)
    x_shards = xs if x_is_cut else [split(x, p, 1)[rank] for rank, x in enumerate(xs)]
    partials = products(x_shards, split(weight, p, 1))
    return [y + bias for y in all_reduce(partials, ledger=ledger)]


def plan_cases(generator: Generator) -> list[Case]:
    """Both plans on each tp, with x whole on every rank and with x cut."""
    cases = []
    for tp in SIZES:
        for plan, x_is_cut in product(("column", "row"), (False, True)):
            out_features, in_features = features(generator, tp)
            x, weight = randn(generator, TOKENS, in_features), randn(generator, out_features, in_features)
            xs = split(x, tp, 1) if x_is_cut else copies(x, tp)
            label = f'plan = "{plan}", x_is_cut = {x_is_cut}'
            cases.append(Case(tp, (xs, weight, 1 + randn(generator, out_features), plan, x_is_cut), label=label))
    return cases


LINEAR_BY_PLAN = Exercise(
    number="02.5",
    name="linear_by_plan",
    points=10,
    difficulty=2,
    minutes=15,
    reference=linear_by_plan,
    cases=plan_cases,
    observe=WithLedger(forward_and_gradient),
    sent=Traffic(exact=True),  # the plan says which collective
    mutants=MUTANTS,
)
