"""What the mutants of chapter 02 share."""

from torch import Tensor


def output_shards(xs: list[Tensor], weight_shards: list[Tensor], bias_shards: list[Tensor]) -> list[Tensor]:
    """Cut by outputs: what each rank has finished. xs[r]: [..., in] → p of [..., out/p]."""
    return [x @ weight.T + bias for x, weight, bias in zip(xs, weight_shards, bias_shards, strict=True)]


def products(x_shards: list[Tensor], weight_shards: list[Tensor]) -> list[Tensor]:
    """Cut by inputs: each rank's partial. x_shards[r]: [..., in_r] → p of [..., out]."""
    return [x @ weight.T for x, weight in zip(x_shards, weight_shards, strict=True)]


NO_WIRE = (
    "The numbers are right, and the ledger shows no collective. If you read the other ranks' tensors from the list: "
    "here that works, but on four GPUs rank 0 cannot read rank 1's memory. If you called a collective: it writes into "
    "the ledger that it is given."
)
RANK_0_X = (
    "The numbers are right and the gradient is not: every rank read rank 0's copy of x. Each rank has a copy of its "
    "own, xs[rank], and the gradient must reach that one."
)
