"""Sizes: who owns which part of a dimension, and what to say where a number is no size or a cut does not come out even.

The lowest floor. Only whole numbers are looked at, so a check costs less than a microsecond.
"""

import numbers
import operator
import re
import reprlib

SIZES_SHOWN = 12
_ADDRESS = re.compile(" at 0x[0-9a-f]+")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple = 2, 3, 3


def divisors(total: int) -> list[int]:
    """Every world size that cuts `total` into equal parts, ascending. `divisors(10)` is `[1, 2, 5, 10]`."""
    small = [d for d in range(1, int(total**0.5) + 1) if total % d == 0]
    return sorted({*small, *(total // d for d in small)})


def require_size(name: str, value: object, least: int = 1, noun: str = "a size") -> int:
    """`value` as an int. Raises ValueError where it is no whole number or below `least`; True and 8.0 are none."""
    if type(value) is not int:
        value = require_whole(name, value, f"sizes that work: {least}, {least + 1}, {least + 2}, ...")
    if value < least:
        raise ValueError(f"{name} = {value} is not {noun}; sizes that work: {least}, {least + 1}, {least + 2}, ...")
    return value


def require_whole(name: str, value: object, works: str) -> int:
    """`value` as an int: what Python itself takes for an index (numpy's integers too), but for True and False."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} = {shown(value)} is not a whole number; {works}") from None


def require_divisible(name: str, total: int, world_size: int) -> int:
    """The size each rank gets, `total / world_size`.

    Raises ValueError when the cut does not come out even; the message names `name`, its value and the sizes that work.
    Megatron-LM calls this `divide`, vLLM too.
    """
    world_size = require_size("world_size", world_size, noun="a number of ranks")
    total = require_size(name, total, least=0)
    if total % world_size:
        sizes = divisors(total)
        listed = ", ".join(map(str, sizes[:SIZES_SHOWN])) + (", ..." if len(sizes) > SIZES_SHOWN else "")
        raise ValueError(f"{name} = {total} cannot be split over tp = {world_size} ranks; sizes that work: {listed}")
    return total // world_size


def shard_range(total: int, rank: int, world_size: int, name: str = "total") -> tuple[int, int]:
    """`(start, stop)` of the shard of a dimension of size `total` that `rank` owns: equal shards, in rank order.

    Raises ValueError when `total` does not divide or there is no such rank. Megatron-LM and vLLM call this rule
    `vocab_range_from_global_vocab_size`.
    """
    size = require_divisible(name, total, world_size)
    rank = require_rank("rank", rank, world_size)
    return rank * size, (rank + 1) * size


def require_rank(name: str, rank: int, world_size: int) -> int:
    """`rank` as an int. Raises ValueError when it is not one of `world_size` ranks."""
    require_size("world_size", world_size, noun="a number of ranks")
    works = f"with {world_size} ranks, ranks go from 0 to {world_size - 1}"
    if type(rank) is not int:
        rank = require_whole(name, rank, works)
    if not 0 <= rank < world_size:
        raise ValueError(f"{name} = {rank} does not exist; {works}")
    return rank


def require_dim(dim: int, ndim: int, name: str = "dim") -> int:
    """`dim` counted from the front (`-1` becomes `ndim - 1`). Raises ValueError when there is no such dimension."""
    if type(dim) is not int:
        dim = require_whole(name, dim, "dims that work: 0, 1, ..., and -1 for the last")
    if ndim == 0:
        raise ValueError(f"{name} = {dim} does not exist: the tensor is a single number and has no dimension to cut")
    if not -ndim <= dim < ndim:
        raise ValueError(
            f"{name} = {dim} does not exist in a {ndim}-dimensional tensor; dims that work: {-ndim} to {ndim - 1}"
        )
    return dim % ndim


def require_flags(**flags: object) -> None:
    """Raises ValueError for the first that is neither True nor False: a group in the place of `bias`, for instance."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise ValueError(f"{name} = {shown(value)} is neither True nor False")


def is_number(value: object) -> bool:
    """Whether it is a real number (numpy's too); True, False and text are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value as a message shows it: short, without addresses, and a tensor or an array by its kind and shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"<{type(value).__name__} of shape {tuple(shape)}>"
    if isinstance(value, (list, tuple)) and any(hasattr(item, "shape") for item in value):
        return f"<{type(value).__name__} of {len(value)}, first {shown(value[0])}>"
    return _ADDRESS.sub("", _SHORT.repr(value))
