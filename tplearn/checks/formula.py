"""A number that is wrong by a product of what went in: "too large by 2 · hidden · ffn / tp"."""

import math
from collections.abc import Iterator
from itertools import combinations

from tplearn.checks.leaf import Leaf, telling_sizes, wrong_pairs

FACTORS_SHOWN = 5  # of a difference
COEFFICIENTS = {1.0: "", 2.0: "2 · ", 3.0: "3 · ", 4.0: "4 · ", 0.5: "½ · "}
OF_TP = (
    (" / tp", lambda tp: 1 / tp),
    (" · tp", lambda tp: float(tp)),
    (" · (tp − 1)", lambda tp: tp - 1.0),
    (" · (tp − 1) / tp", lambda tp: (tp - 1) / tp),
    (" / tp²", lambda tp: tp**-2.0),
    (" · (tp − 1) / tp²", lambda tp: (tp - 1) / tp**2),
)
CHANCE = 1e4  # a few small numbers can be met by chance
ENOUGH = 3  # cases that tell a constant from a quotient of sizes
Columns = dict[str, tuple[float, ...]]  # name -> its value in each case


def formula(leaves: list[Leaf]) -> str | None:
    """By which product of the arguments every wrong number is too large, too small, or multiplied."""
    pairs = [(got.item(), want.item()) for _, got, want in wrong_pairs(leaves) if not (got.ndim or want.ndim)]
    if len(pairs) != len(leaves) or not all(math.isfinite(got) and want for got, want in pairs):
        return None
    sizes = {name: tuple(float(leaf.sizes[name]) for leaf in leaves) for name in telling_sizes(leaves)}
    columns = _columns(leaves, sizes)
    times = _same(_quotients(columns), sizes, [got / want for got, want in pairs])
    if times:
        return f"Yours is {times} times the right one."
    difference = [got - want for got, want in pairs]
    if math.prod({abs(d) for d in difference}) < CHANCE or len({d > 0 for d in difference}) > 1:
        return None
    by = _same(_products(columns), sizes, [abs(d) for d in difference])
    return by and f"Where yours is wrong, it is too {'large' if difference[0] > 0 else 'small'} by {by}."


def _columns(leaves: list[Leaf], sizes: Columns) -> Columns:
    """What all cases have, without tp itself, ones, and a second name for the same."""
    seen, columns = set(sizes.values()), Columns()
    for name in leaves[0].numbers:
        values = tuple(float(leaf.numbers.get(name, 0)) for leaf in leaves)
        if all(values) and set(values) != {1.0} and values not in seen:
            seen.add(values)
            columns[name] = values
    return columns


def _products(columns: Columns) -> Iterator[tuple[str, list[float]]]:
    for count in range(1, FACTORS_SHOWN + 1):
        for names in combinations(columns, count):
            yield " · ".join(names), [math.prod(values) for values in zip(*(columns[n] for n in names), strict=True)]


def _quotients(columns: Columns) -> Iterator[tuple[str, list[float]]]:
    for name, values in columns.items():
        yield name, list(values)
        yield f"1 / {name}", [1 / value for value in values]
    for over, under in combinations(columns, 2):
        for a, b in ((over, under), (under, over)):
            yield f"{a} / {b}", [x / y for x, y in zip(columns[a], columns[b], strict=True)]


def _same(candidates: Iterator[tuple[str, list[float]]], sizes: Columns, due: list[float]) -> str | None:
    """The first candidate that is `due` in every case, up to a small factor and a function of tp."""
    of_tp = [("", [1.0] * len(due))]
    for name, values in sizes.items():
        of_tp += [(text.replace("tp", name), [function(size) for size in values]) for text, function in OF_TP]
    of_tp = [(text, factors) for text, factors in of_tp if all(factors)]
    for text, values in candidates:
        if len({round(value, 9) for value in values}) < 2:
            continue  # the same in all cases: any constant would do
        for more, factors in of_tp:
            wanted = due[0] / (values[0] * factors[0])
            told = next((shown for c, shown in COEFFICIENTS.items() if math.isclose(c, wanted, rel_tol=1e-12)), None)
            every = zip(values, factors, due, strict=True)
            if told and len(due) < ENOUGH:
                continue  # the constant may be the sizes' own
            if told is not None and all(math.isclose(v * f * wanted, d, rel_tol=1e-12) for v, f, d in every):
                return f"{told}{text}{more}"
    return None
