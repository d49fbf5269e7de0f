"""The bytes that one rank sends for each collective, as formulas."""

from collections.abc import Callable

Cost = Callable[[float, int], float]  # (bytes of the whole tensor, ranks) → bytes that one rank sends

COSTS: dict[str, Cost] = {
    "reduce_scatter": lambda n, p: (p - 1) / p * n,
    "all_gather": lambda n, p: (p - 1) / p * n,
    "all_reduce": lambda n, p: 2 * (p - 1) / p * n,
    "all_to_all": lambda n, p: (p - 1) / p**2 * n,
}


def with_costs(**costs: Cost) -> Callable[[str, int, int], float]:
    """The right formulas, with other ones for some ops."""
    return lambda op, n_bytes, p: float((COSTS | costs)[op](n_bytes, p))


def by_rule(rule: Callable[[float, float, int], float]) -> Callable[[str, int, int], float]:
    """rule(the right cost, n, p) for every op."""
    return lambda op, n_bytes, p: float(rule(COSTS[op](n_bytes, p), n_bytes, p))
