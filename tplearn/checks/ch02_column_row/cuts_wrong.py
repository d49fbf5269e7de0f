"""What can go wrong when a weight is cut by its outputs or its inputs: the mutants of 02.1 and 02.2."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from tplearn.checks.ch02_column_row import cuts
from tplearn.checks.ch02_column_row.cuts import INPUTS, OTHER, OUTPUTS, cut
from tplearn.checks.exercise import Mutant


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
            partial(cuts.chunked, dim=OTHER[dim]),
            "You cut the inputs. Column parallel cuts the outputs, the columns of A in Y = X A. But nn.Linear stores "
            "the transpose of A, [out, in]: the outputs are the last dimension but one."
            if outputs
            else "You cut the outputs: that is column parallel. Row parallel cuts the inputs, the rows of A in Y = X "
            "A. In nn.Linear's [out, in] they are the last dimension.",
            f"the shape of one shard: it must be {shard}.",
        ),
        Mutant(
            "wrong dim, and its size tested",
            partial(cut, dim=OTHER[dim]),
            f"You cut the {others}, and refuse where the {others} do not divide. The exercise is about the {what}.",
            f"the shape of one shard: it must be {shard}.",
        ),
        mutant(
            "other size tested",
            cuts.other_size_tested,
            f"You cut the {what}, but refuse by the number of {others}. These are not cut: they need not divide.",
            "the size in your test.",
        ),
        mutant(
            "both sizes tested",
            cuts.both_tested,
            f"You refuse also where the {others} do not divide. They are not cut: they need not.",
            "the size in your test.",
        ),
        mutant(
            "dim from the front",
            cuts.from_the_front,
            f"You cut dim {1 if outputs else 0}. In [out, in] these are the {others}, and in a stack the "
            f"{'outputs' if outputs else 'experts'}. The {what} are dim {dim} in both.",
            "the dim of your cut.",
        ),
        mutant(
            "dim from the front, and its size tested",
            cuts.from_the_front_tested,
            f"You cut dim {1 if outputs else 0}, and refuse by its size. In [out, in] these are the {others}, and in a "
            f"stack the {'outputs' if outputs else 'experts'}. The {what} are dim {dim} in both.",
            "the dim of your cut.",
        ),
        mutant(
            "stack forgotten",
            cuts.stack_forgotten,
            f"The dim is right for one weight, wrong for a stack. In [experts, out, in] dim {dim + 2} is no longer the "
            + what
            + (": you dealt out whole experts." if outputs else ": you cut the outputs.")
            + f" Counted from the end, the {what} are dim {dim} in both.",
            f"the dim of your cut: {dim} instead of {dim + 2}.",
        ),
        mutant(
            "padded",
            cuts.padded,
            f"Right wherever the {what} divide. Where they do not, you return shards all the same. Then some rank has "
            f"fewer {what} than the others, or some are lost or made up, without a word.",
            refuse,
        ),
        mutant(
            "uneven chunks",
            cuts.chunked,
            f"Right wherever the {what} divide. Where they do not, torch.chunk makes the last shard smaller, or makes "
            "fewer shards than ranks, and says nothing.",
            refuse,
        ),
        mutant(
            "uneven tensor_split",
            cuts.spread,
            f"Right wherever the {what} divide. Where they do not, the first ranks get one of the {what} more than the "
            "others. No collective of this chapter takes shards of two sizes.",
            refuse,
        ),
        mutant(
            "remainder dropped",
            cuts.dropped,
            f"Right wherever the {what} divide. Where they do not, {size} // tp for each rank leaves a remainder that "
            f"no rank owns: these {what} are gone, and no error says so.",
            refuse,
        ),
        mutant(
            "too few shards refused",
            cuts.counted,
            f"You refuse only where torch.chunk makes fewer shards than ranks. 5 {what} on 2 ranks make two "
            "shards, of 3 and of 2, and they went through.",
            refuse,
        ),
        mutant(
            "fewer than ranks refused",
            cuts.one_each,
            f"You refuse only where there are fewer {what} than ranks. They must also divide by the number of ranks.",
            refuse,
        ),
        mutant(
            "either size divides",
            cuts.either_divides,
            f"You refuse only where neither size divides. Only the {what} are cut, and they must.",
            "the condition of your test.",
        ),
        mutant(
            "entries tested",
            cuts.entries_tested,
            f"You refuse by the number of entries of the weight. What is cut are the {what}: their number must divide.",
            "the size in your test.",
        ),
        mutant(
            "as wide as tp",
            cuts.as_wide_as_tp,
            f"Each of your shards has world_size of the {what}. world_size is the number of shards: each has {size}/tp "
            f"of the {what}.",
            "the number that torch.split takes: the size of a shard.",
        ),
        mutant(
            "as memory lies",
            cuts.as_memory_lies,
            "You cut the weight as its numbers lie in memory, row by row. "
            + (
                "For one weight these blocks are blocks of outputs. A stack they cut by experts."
                if outputs
                else "The inputs lie inside each row, so every row must be cut."
            ),
            "the reshape: it only cuts what lies in front.",
        ),
        mutant(
            "dealt like cards",
            cuts.dealt,
            f"You dealt the {what} like cards: rank 0 got number 0, tp, 2·tp and so on. The shards have the right "
            "shape, but each rank owns one contiguous block.",
            f"which {what} rank 0 owns: the first {size}/tp.",
        ),
        mutant(
            "transposed",
            cuts.transposed,
            f"You cut the {what}, and transposed: your shards hold the right numbers in A's layout, [in, out]. The "
            "next function multiplies by shard.T and expects nn.Linear's [out, in].",
            "the .T or .mT.",
        ),
        mutant(
            "rank 0's shard everywhere",
            cuts.rank_0_for_all,
            "Every rank got rank 0's shard. Rank r owns block r. Real weight loaders have had this bug.",
            "the index of the shard.",
        ),
        Mutant(
            "whole",
            cuts.whole,
            f"Every rank got the whole weight. A shard has {size}/tp of the {what}.",
            f"the shape of one shard: it must be {shard}.",
        ),
    )
