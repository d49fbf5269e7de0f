"""The bytes that one rank sends for each collective, as formulas."""

from collections.abc import Callable

Cost = Callable[[float, int], float]  # (bytes of the whole tensor, ranks) → bytes that one rank sends


COSTS: dict[str, Cost] = {
    "reduce_scatter": lambda n, p: (p - 1) / p * n,
    "all_gather": lambda n, p: (p - 1) / p * n,
    "all_reduce": lambda n, p: 2 * (p - 1) / p * n,
    "all_to_all": lambda n, p: (p - 1) / p**2 * n,
}
