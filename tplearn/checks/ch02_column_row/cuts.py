"""Cuts of a weight by its outputs or its inputs, right and wrong ones."""

from torch import Tensor
from torch.nn.functional import pad

OUTPUTS, INPUTS = -2, -1  # of [out, in], and of [experts, out, in]
OTHER = {OUTPUTS: INPUTS, INPUTS: OUTPUTS}


def cut(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    """The right cut. Raises ValueError where it does not come out even."""
    size = weight.shape[dim]
    if size % world_size:
        name = {OUTPUTS: "out_features", INPUTS: "in_features"}[dim]
        raise ValueError(f"{name} = {size} cannot be split over tp = {world_size} ranks")
    return [shard.clone() for shard in weight.chunk(world_size, dim=dim)]


def padded(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    missing = -weight.shape[dim] % world_size
    return list(pad(weight, (0, missing) if dim == INPUTS else (0, 0, 0, missing)).chunk(world_size, dim=dim))


def dropped(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    size = weight.shape[dim] // world_size
    return [weight.narrow(dim, rank * size, size) for rank in range(world_size)]


def chunked(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return list(weight.chunk(world_size, dim=dim))


def spread(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return list(weight.tensor_split(world_size, dim=dim))


def counted(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    shards = chunked(weight, world_size, dim)
    if len(shards) < world_size:
        raise ValueError("too few shards")
    return shards


def one_each(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    if weight.shape[dim] < world_size:
        raise ValueError("smaller than the number of ranks")
    return chunked(weight, world_size, dim)


def entries_tested(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    if weight.numel() % world_size:
        raise ValueError("the number of entries does not divide")
    return chunked(weight, world_size, dim)


def either_divides(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    if weight.shape[dim] % world_size and weight.shape[OTHER[dim]] % world_size:
        raise ValueError("neither divides")
    return chunked(weight, world_size, dim)


def both_tested(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    cut(weight, world_size, OTHER[dim])
    return cut(weight, world_size, dim)


def from_the_front(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return chunked(weight, world_size, OTHER[dim] + 2)  # 1 for the outputs, 0 for the inputs


def from_the_front_tested(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    if weight.shape[OTHER[dim] + 2] % world_size:
        raise ValueError("does not divide")
    return from_the_front(weight, world_size, dim)


def as_wide_as_tp(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    cut(weight, world_size, dim)
    return list(weight.split(world_size, dim=dim))


def as_memory_lies(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return list(weight.reshape(world_size, *cut(weight, world_size, dim)[0].shape))


def dealt(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [weight.movedim(dim, 0)[rank::world_size].movedim(0, dim) for rank in range(world_size)]


def transposed(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [shard.mT for shard in chunked(weight, world_size, dim)]


def stack_forgotten(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return chunked(weight, world_size, dim + 2)  # 0 for the outputs, 1 for the inputs


def other_size_tested(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    cut(weight, world_size, OTHER[dim])
    return chunked(weight, world_size, dim)


def rank_0_for_all(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [chunked(weight, world_size, dim)[0]] * world_size


def whole(weight: Tensor, world_size: int) -> list[Tensor]:
    return [weight] * world_size
