"""The laws of exercise 18.2: what a factor may be on p ranks."""

from collections.abc import Callable

LAWS: dict[str, Callable[[int], float]] = {
    "0": lambda p: 0.0,
    "1": lambda p: 1.0,
    "2": lambda p: 2.0,
    "1/2": lambda p: 0.5,
    "tp": lambda p: float(p),
    "tp - 1": lambda p: p - 1.0,
    "1/tp": lambda p: 1.0 / p,
    "tp * tp": lambda p: float(p * p),
}
