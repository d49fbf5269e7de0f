"""What the cases of chapter 02 are made of: sizes that are all different, and layers cut both ways."""

from torch import Generator, Tensor

from tplearn.checks.inputs import pick, randn

SIZES = (1, 2, 3, 4)  # tp
BATCH, TOKENS = 2, 3  # fewer numbers than a weight has inputs: sending activations is cheaper than sending weights


def features(generator: Generator, tp: int) -> tuple[int, int]:
    """(out_features, in_features): both divide by tp, in is the larger one."""
    out_features = tp * pick(generator, 2, 4)
    return out_features, out_features + tp * pick(generator, 4, 6)


def copies(tensor: Tensor, tp: int) -> list[Tensor]:
    """The same numbers on every rank, in memory of its own."""
    return [tensor.clone() for _ in range(tp)]


def activations(generator: Generator, features: int) -> Tensor:
    """[batch, tokens, features]."""
    return randn(generator, BATCH, TOKENS, features)
