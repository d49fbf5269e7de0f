"""What goes wrong with exercise 10.1: the gradients of other tokens, the group, the dim, and what does not divide."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import mutants_of
from tplearn.parallel import copy_to_group, reduce_from_group, reduce_scatter_sequence, scatter_to_group
from tplearn.parallel.place import Group

REFUSE = "where x.shape[1] does not divide by the size of the group: a ValueError that names both numbers."


def _sharded(x: Tensor, group: Group, wrong: str) -> Tensor:
    """This rank's tokens, with one thing `wrong`."""
    p, rank = dist.get_world_size(group), dist.get_rank(group)
    asked = dist.get_world_size() if wrong in ("the world's size asked", "the world for the group") else p
    if x.shape[1] % asked:
        if wrong == "remainder dropped":
            x = x[:, : x.shape[1] // p * p]
        elif wrong == "uneven shards":
            return x.tensor_split(p, dim=1)[rank].clone()
        elif wrong == "chunks of a rest":
            return x.chunk(p, dim=1)[rank].clone()
        elif wrong == "padded":
            x = torch.nn.functional.pad(x, (0, 0, 0, -x.shape[1] % p))
        elif wrong == "an assert":
            raise AssertionError("the sequence does not divide")
        else:
            raise ValueError("the sequence does not divide" if wrong == "sizes not named" else f"{x.shape[1]}, {asked}")
    if wrong == "a plain slice":
        return x.chunk(p, dim=1)[rank].clone()
    if wrong == "the first rank's":
        return x.chunk(p, dim=1)[0].clone()
    if wrong == "f and a slice":
        return copy_to_group(x, group).chunk(p, dim=1)[rank].clone()
    if wrong == "f as well":
        x = copy_to_group(x, group)
    if wrong == "copies added":
        return reduce_scatter_sequence(x, 1, group)
    if wrong == "copies averaged":
        return reduce_scatter_sequence(x / p, 1, group)
    if wrong == "copies added, then cut":
        return scatter_to_group(reduce_from_group(x, group), 1, group)
    if wrong == "tokens dealt out":
        x = x[:, torch.arange(x.shape[1]).view(-1, p).T.flatten()]  # 0, p, 2p, ... first
    dims = {"hidden cut": -1, "batch cut": 0}
    return scatter_to_group(x, dims.get(wrong, 1), None if wrong == "the world for the group" else group)


MUTANTS = mutants_of(
    _sharded,
    (
        "a plain slice",
        "Each rank has the right tokens, but the gradients stop there: a slice knows nothing of the other ranks' "
        "tokens and returns zeros for them. x is the same on every rank and needs the gradients of all tokens: one "
        "all-gather in the backward pass.",
        "how x becomes its shard. A slice has no collective in its backward pass.",
    ),
    (
        "the first rank's",
        "Every rank returns the first rank's tokens.",
        "the index of the slice: this rank's number in the group.",
    ),
    (
        "the world for the group",
        "You cut x over all ranks there are. In the cases with two groups of two ranks each group has a sequence of "
        "its own, and its two ranks share that one.",
        "the argument group: dist.get_world_size(group), dist.get_rank(group), and group=group in the collective.",
    ),
    (
        "the world's size asked",
        "You cut x over the group, but ask whether it divides by the number of all ranks. In a group of 2 among 4 "
        "ranks a sequence of 6 tokens is right.",
        "dist.get_world_size(group).",
    ),
    (
        "f and a slice",
        "Result and gradients are right, at twice the price: f's backward all-reduces a gradient of the whole "
        "sequence that is zero but for this rank's tokens. Shards that only need to be put side by side take an "
        "all-gather.",
        "scatter_to_group: its backward is that all-gather.",
    ),
    (
        "f as well",
        "The result is right. But the gradient of x is summed over the ranks after the all-gather has made it whole "
        "on each of them: it counts once for each rank.",
        "copy_to_group. scatter_to_group needs no f.",
    ),
    (
        "copies added",
        "Your result is exactly p times the right one. A reduce-scatter adds up what the ranks hold, and they all "
        "hold the same x: it is replicated, not partial.",
        "the collective. Nothing has to be sent forward: each rank has its tokens already.",
    ),
    (
        "copies averaged",
        "The result is right, by way of a sum of p equal tensors divided by p, and the gradient of x is divided by p "
        "with it. Each rank had its tokens already: nothing has to be sent forward.",
        "the collective in the forward pass, and the division.",
    ),
    (
        "copies added, then cut",
        "Your result is exactly p times the right one: an all-reduce added up what is the same on every rank. x is "
        "replicated, not partial.",
        "the collective before the cut. Nothing has to be sent forward.",
    ),
    (
        "hidden cut",
        "You cut the hidden dimension (the last one) instead of the sequence. A norm needs all the numbers of a "
        "token, so no rank could go on.",
        "dim. In [batch, seq, hidden] the sequence is dim 1.",
    ),
    ("batch cut", "You cut the batch, dim 0, instead of the sequence.", "dim. The sequence is dim 1."),
    (
        "tokens dealt out",
        "You deal the tokens out one by one: rank r has tokens r, r + p, and so on. An all-gather puts shards one "
        "after the other, so the sequence would come back in another order.",
        "rank r owns the tokens from r · seq/p up to (r + 1) · seq/p.",
    ),
    (
        "remainder dropped",
        "Where the sequence does not divide, you cut off its last tokens without a word. 7 tokens on 2 ranks come "
        "back as 6: the model never sees the last one.",
        REFUSE,
    ),
    (
        "uneven shards",
        "Where the sequence does not divide, your ranks get different numbers of tokens. Collectives take equal "
        "shapes: the next all-gather fails or mixes tokens up (pytorch/torchtitan#1306).",
        REFUSE,
    ),
    (
        "chunks of a rest",
        "Where the sequence does not divide, you go on: chunk gives shards of different sizes, or fewer than there "
        "are ranks (2 tokens on 3 ranks are 2 chunks).",
        REFUSE,
    ),
    (
        "padded",
        "Where the sequence does not divide, you filled it up with zeros. Then there are tokens that nobody wrote: "
        "attention would look at them and the loss would count them. Whoever calls you must decide that.",
        REFUSE,
    ),
    (
        "an assert",
        "You refuse a sequence that does not divide with an AssertionError. Asserts are gone under python -O, and a "
        "caller who wants to catch bad input waits for a ValueError.",
        REFUSE,
    ),
    (
        "sizes not named",
        "You refuse a sequence that does not divide, and the message does not say which sizes met. Whoever reads it "
        "after a long run needs both numbers.",
        "the text of the ValueError: it must hold the sequence length and the number of ranks in the group.",
    ),
)
