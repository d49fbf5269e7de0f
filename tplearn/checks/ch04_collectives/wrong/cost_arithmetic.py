"""Wrong answers to 04.4 whose formulas are right: what is rounded, and in which unit."""

import math

from tplearn.checks.ch04_collectives.formulas import by_rule, with_costs
from tplearn.checks.exercise import Mutant

ARITHMETIC = (
    Mutant(
        "all-reduce in whole bytes",
        with_costs(all_reduce=lambda n, p: 2 * (p - 1) * math.ceil(n / p)),
        "Your all-reduce rounds the chunk up to whole bytes. The exact quotient is due.",
        "all_reduce: no rounding.",
    ),
    Mutant(
        "a chunk in whole bytes",
        with_costs(
            reduce_scatter=lambda n, p: (p - 1) * (n // p),
            all_gather=lambda n, p: (p - 1) * (n // p),
            all_reduce=lambda n, p: 2 * (p - 1) * (n // p),
        ),
        "You divided n_bytes by p with //, which drops a fraction of a byte for each chunk. The formula may give "
        "fractions: 10 bytes on 4 ranks are 7.5 for a reduce-scatter.",
        "/ in place of //.",
    ),
    Mutant(
        "rounded down",
        by_rule(lambda cost, n, p: math.floor(cost)),
        "Your results are the right ones, rounded down. The formula may give fractions: 10 bytes on 4 ranks are 7.5 "
        "for a reduce-scatter.",
        "a // or int() that drops the fraction.",
    ),
    Mutant(
        "rounded up",
        by_rule(lambda cost, n, p: math.ceil(cost)),
        "Your results are the right ones, rounded up. The formula may give fractions: 10 bytes on 4 ranks are 7.5 for "
        "a reduce-scatter.",
        "a ceil or a rounding that is not asked for.",
    ),
    Mutant(
        "(p − 1) // p",
        by_rule(lambda cost, n, p: 0),
        "Your result is 0 for every p. (p - 1) // p is 0: // rounds down before the multiplication.",
        "/ in place of //.",
    ),
    Mutant(
        "numbers of 4 bytes",
        by_rule(lambda cost, n, p: 4 * cost),
        "Your results are 4 times too large. n_bytes is in bytes already: no size of a number comes in.",
        "a factor 4.",
    ),
)
