"""What was typed, checked before a rank starts, in words that can be typed."""

from tplearn.planning import ModelShape, kv_heads_per_rank

SEEDS = 2**63


def require(option: str, value: object, works: bool, said: str) -> None:
    """Raises ValueError, one line that begins with the option, unless its value `works`."""
    if not works:
        typed = f"{value:g}" if isinstance(value, float) else value
        raise ValueError(f"--{option} {typed}: {said}")


def require_seed(seed: int) -> None:
    """Raises ValueError where no generator takes it."""
    require("seed", seed, 0 <= seed < SEEDS, f"whole numbers from 0 to {SEEDS - 1} work")


def require_cut(shape: ModelShape, ranks: int, typed: str) -> None:
    """Raises ValueError, which begins with what was `typed`, where so many ranks do not cut a model."""
    try:
        kv_heads_per_rank(shape, ranks)
    except ValueError as error:
        raise ValueError(f"{typed}: {error}") from None
