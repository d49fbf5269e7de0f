"""What the cases of chapter 03 are made of: sizes that are all different."""

from torch import Generator

from tplearn.checks.inputs import pick

SIZES = (1, 2, 3, 4)  # tp
TOKENS = 5


def sizes(generator: Generator, tp: int) -> tuple[int, int]:
    """(hidden, ffn): different from each other and from TOKENS; ffn divides by tp, hidden need not."""
    hidden = pick(generator, 6, 9)
    return hidden, tp * pick(generator, 11, 15)
