"""What the cases of chapter 03 are made of: sizes that are all different, and copies in memory of their own."""

from torch import Generator, Tensor

from tplearn.checks.inputs import pick

SIZES = (1, 2, 3, 4)  # tp
TOKENS = 5


def sizes(generator: Generator, tp: int) -> tuple[int, int]:
    """(hidden, ffn): different from each other and from TOKENS; ffn divides by tp, hidden need not."""
    hidden = pick(generator, 6, 9)
    return hidden, tp * pick(generator, 11, 15)


def copies(tensor: Tensor, tp: int) -> list[Tensor]:
    """The same numbers on every rank, in memory of its own."""
    return [tensor.clone() for _ in range(tp)]
