"""Sizes that divide: who owns which part of a dimension, and what to say when the cut does not come out even."""

SIZES_SHOWN = 12


def divisors(total: int) -> list[int]:
    """Every world size that cuts `total` into equal parts, ascending. `divisors(10)` is `[1, 2, 5, 10]`."""
    small = [d for d in range(1, int(total**0.5) + 1) if total % d == 0]
    return sorted({*small, *(total // d for d in small)})


def require_divisible(name: str, total: int, world_size: int) -> int:
    """The size each rank gets, `total / world_size`.

    Raises ValueError when the cut does not come out even; the message names `name`, its value and the sizes that work.
    Megatron-LM calls this `divide`, vLLM too.
    """
    if world_size < 1:
        raise ValueError(f"world_size = {world_size} is not a number of ranks; sizes that work: 1, 2, 3, ...")
    if total < 0:
        raise ValueError(f"{name} = {total} is not a size; sizes that work: 0, 1, 2, ...")
    if total % world_size:
        sizes = divisors(total)
        listed = ", ".join(map(str, sizes[:SIZES_SHOWN])) + (", ..." if len(sizes) > SIZES_SHOWN else "")
        raise ValueError(f"{name} = {total} cannot be split over tp = {world_size} ranks; sizes that work: {listed}")
    return total // world_size


def shard_range(total: int, rank: int, world_size: int, name: str = "total") -> tuple[int, int]:
    """`(start, stop)` of the part of a dimension of size `total` that `rank` owns: equal parts, in rank order.

    Raises ValueError when `total` does not divide or there is no such rank. Megatron-LM and vLLM call this rule
    `vocab_range_from_global_vocab_size`.
    """
    size = require_divisible(name, total, world_size)
    require_rank("rank", rank, world_size)
    return rank * size, (rank + 1) * size


def require_rank(name: str, rank: int, world_size: int) -> None:
    """Raises ValueError when `rank` is not one of `world_size` ranks."""
    if not 0 <= rank < world_size:
        raise ValueError(
            f"{name} = {rank} does not exist; with {world_size} ranks, ranks go from 0 to {world_size - 1}"
        )


def require_dim(dim: int, ndim: int) -> int:
    """`dim` counted from the front (`-1` becomes `ndim - 1`). Raises ValueError when there is no such dimension."""
    if ndim == 0:
        raise ValueError(f"dim = {dim} does not exist: the tensor is a single number and has no dimension to cut")
    if not -ndim <= dim < ndim:
        raise ValueError(
            f"dim = {dim} does not exist in a {ndim}-dimensional tensor; dims that work: {-ndim} to {ndim - 1}"
        )
    return dim % ndim
