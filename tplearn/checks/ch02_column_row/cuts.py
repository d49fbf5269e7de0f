"""What can go wrong when a weight is cut by its outputs or its inputs: the mutants of 02.1 and 02.2."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn.functional import pad

from tplearn.checks.exercise import Mutant

OUTPUTS, INPUTS = -2, -1  # of [out, in], and of [experts, out, in]
_OTHER = {OUTPUTS: INPUTS, INPUTS: OUTPUTS}


def cut(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    """The right cut. Raises ValueError where it does not come out even."""
    size = weight.shape[dim]
    if size % world_size:
        name = {OUTPUTS: "out_features", INPUTS: "in_features"}[dim]
        raise ValueError(f"{name} = {size} cannot be split over tp = {world_size} ranks")
    return [shard.clone() for shard in weight.chunk(world_size, dim=dim)]


def _padded(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    missing = -weight.shape[dim] % world_size
    return list(pad(weight, (0, missing) if dim == INPUTS else (0, 0, 0, missing)).chunk(world_size, dim=dim))


def _dropped(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    size = weight.shape[dim] // world_size
    return [weight.narrow(dim, rank * size, size) for rank in range(world_size)]


def _chunked(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return list(weight.chunk(world_size, dim=dim))


def _spread(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return list(weight.tensor_split(world_size, dim=dim))


def _dealt(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [weight.movedim(dim, 0)[rank::world_size].movedim(0, dim) for rank in range(world_size)]


def _transposed(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [shard.mT for shard in _chunked(weight, world_size, dim)]


def _stack_forgotten(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return _chunked(weight, world_size, dim + 2)  # 0 for the outputs, 1 for the inputs


def _other_size_tested(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    cut(weight, world_size, _OTHER[dim])
    return _chunked(weight, world_size, dim)


def _rank_0_for_all(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    return [_chunked(weight, world_size, dim)[0]] * world_size


def _whole(weight: Tensor, world_size: int) -> list[Tensor]:
    return [weight] * world_size


def mutants_for(outputs: bool) -> tuple[Mutant, ...]:
    """For both exercises, in their own words."""
    dim = OUTPUTS if outputs else INPUTS
    what, size, shard = ("outputs", "out", "[out/tp, in]") if outputs else ("inputs", "in", "[out, in/tp]")
    others = "inputs" if outputs else "outputs"

    def mutant(name: str, answer: Callable[..., list[Tensor]], says: str, look_at: str) -> Mutant:
        return Mutant(name, partial(answer, dim=dim), says, look_at)

    refuse = f"raise a ValueError when the number of {what} does not divide by world_size."
    return (
        Mutant(
            "wrong dim",
            partial(_chunked, dim=_OTHER[dim]),
            "You cut the inputs. Column parallel cuts the outputs, the columns of A in Y = X A. But nn.Linear stores "
            "the transpose of A, [out, in]: the outputs are the last dimension but one."
            if outputs
            else "You cut the outputs: that is column parallel. Row parallel cuts the inputs, the rows of A in Y = X "
            "A. In nn.Linear's [out, in] they are the last dimension.",
            f"the shape of one shard: it must be {shard}.",
        ),
        Mutant(
            "wrong dim, and its size tested",
            partial(cut, dim=_OTHER[dim]),
            f"You cut the {others}, and refuse where the {others} do not divide. The exercise is about the {what}.",
            f"the shape of one shard: it must be {shard}.",
        ),
        mutant(
            "other size tested",
            _other_size_tested,
            f"You cut the {what}, but refuse by the number of {others}. These are not cut: they need not divide.",
            "the size in your test.",
        ),
        mutant(
            "stack forgotten",
            _stack_forgotten,
            f"Right for one weight, wrong for a stack. In [experts, out, in] dim {dim + 2} is no longer the {what}"
            + (": you dealt out whole experts." if outputs else ": you cut the outputs.")
            + f" Counted from the end, the {what} are dim {dim} in both.",
            f"the dim of your cut: {dim} instead of {dim + 2}.",
        ),
        mutant(
            "padded",
            _padded,
            f"Right wherever the {what} divide. Where they do not, you return shards all the same. Then some rank has "
            f"fewer {what} than the others, or some are lost or made up, without a word.",
            refuse,
        ),
        mutant(
            "uneven chunks",
            _chunked,
            f"Right wherever the {what} divide. Where they do not, torch.chunk makes the last shard smaller, or makes "
            "fewer shards than ranks, and says nothing.",
            refuse,
        ),
        mutant(
            "uneven tensor_split",
            _spread,
            f"Right wherever the {what} divide. Where they do not, the first ranks get one of the {what} more than the "
            "others. No collective of this chapter takes shards of two sizes.",
            refuse,
        ),
        mutant(
            "remainder dropped",
            _dropped,
            f"Right wherever the {what} divide. Where they do not, {size} // tp for each rank leaves a remainder that "
            f"no rank owns: these {what} are gone, and no error says so.",
            refuse,
        ),
        mutant(
            "dealt like cards",
            _dealt,
            f"You dealt the {what} like cards: rank 0 got number 0, tp, 2·tp and so on. The shards have the right "
            "shape, but each rank owns one contiguous block.",
            f"which {what} rank 0 owns: the first {size}/tp.",
        ),
        mutant(
            "transposed",
            _transposed,
            f"You cut the {what}, and transposed: your shards hold the right numbers in A's layout, [in, out]. The "
            "next function multiplies by shard.T and expects nn.Linear's [out, in].",
            "the .T or .mT.",
        ),
        mutant(
            "rank 0's shard everywhere",
            _rank_0_for_all,
            "Every rank got rank 0's shard. Rank r owns block r. Real weight loaders have had this bug.",
            "the index of the shard.",
        ),
        Mutant(
            "whole",
            _whole,
            f"Every rank got the whole weight. A shard has {size}/tp of the {what}.",
            f"the shape of one shard: it must be {shard}.",
        ),
    )
