"""Wrong answers to 06.5: an all-gather of the sequence whose backward is a reduce-scatter."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch06_backward.wires import Wire, joined, own, pair, reduce_scattered, summed
from tplearn.checks.exercise import Mutant


def _back(back: Wire) -> Wire:
    """The right way forward, and another one back."""
    return pair(lambda x: joined(x, 1), back)


def _torn(grad: Tensor) -> Tensor:
    """A reduce-scatter of the memory as it lies: p blocks of whole batches."""
    p = dist.get_world_size()
    blocks = list(grad.contiguous().view(p, -1))
    mine = torch.empty_like(blocks[0])
    dist.reduce_scatter(mine, blocks)
    return mine.view(grad.shape[0], grad.shape[1] // p, grad.shape[2])


def _by_turns(grad: Tensor) -> Tensor:
    """Every p-th token of the summed gradient, from token r on."""
    p = dist.get_world_size()
    return summed(grad)[:, dist.get_rank() :: p].contiguous()


def _along(dim: int) -> Wire:
    return pair(lambda x: joined(x, dim), lambda grad: reduce_scattered(grad, dim))


def _as_it_lies(x: Tensor) -> Tensor:
    """The gathered memory in the whole's shape."""
    return joined(x, 0).view(x.shape[0], -1, x.shape[2])


MUTANTS = (
    Mutant(
        "cut without a sum",
        _back(lambda grad: own(grad, 1)),
        "Each rank's gradient is its shard of that rank's own gradient, and nothing more. But every rank used your "
        "tokens, each with its own columns, so every rank has a partial of their gradient. Such a backward belongs to "
        "gather_from_group, where all ranks use the whole alike.",
        "the way back: sum over ranks, then cut, which is one collective.",
    ),
    Mutant(
        "all-reduce, then cut",
        _back(lambda grad: own(summed(grad), 1)),
        "The numbers are right, the bill is not. You summed the whole gradient on every rank and kept a p-th of it. A "
        "reduce-scatter is just that half of an all-reduce which you need: half the bytes on the wire.",
        "the ledger of the backward pass: one reduce_scatter.",
    ),
    Mutant(
        "everybody's gradients",
        _back(lambda grad: own(joined(grad.unsqueeze(0), 0).sum(0), 1)),
        "The numbers are right, and too many bytes paid for them: every rank got all gradients of all ranks and added "
        "them up itself. A reduce-scatter adds on the way and brings each rank its shard.",
        "the ledger of the backward pass: one reduce_scatter.",
    ),
    Mutant(
        "mean for sum",
        _back(lambda grad: reduce_scattered(grad, 1) / dist.get_world_size()),
        "You averaged the gradients. They are partials of one gradient, not estimates of it; yours is p times too "
        "small.",
        "the division after reduce_scatter.",
    ),
    Mutant(
        "p times the own cut",
        _back(lambda grad: own(grad, 1) * dist.get_world_size()),
        "You multiplied your own gradient by the number of ranks, as if all ranks had the same one. Each uses the "
        "whole in its own way, so each has another.",
        "backward: the other ranks' gradients have to come from the other ranks.",
    ),
    Mutant(
        "own blocks added",
        _back(lambda grad: sum(grad.chunk(dist.get_world_size(), 1))),
        "You cut this rank's own gradient into p blocks and added these up. They belong to the tokens of p ranks. What "
        "is added is block r of every rank's gradient: the other ranks' come over the wire.",
        "backward: one reduce_scatter.",
    ),
    Mutant(
        "tokens by turns",
        pair(lambda x: torch.stack(joined(x.unsqueeze(0), 0).unbind(), 2).flatten(1, 2), _by_turns),
        "The tokens of the ranks stand by turns: token 0 of every rank, then token 1 of every rank. A shard of the "
        "sequence is a stretch of it: first all tokens of rank 0, then all of rank 1.",
        "torch.cat(shards, dim=1), and chunk(p, dim=1) on the way back.",
    ),
    Mutant(
        "torn batches",
        _back(_torn),
        "Your backward cuts memory into p blocks, and the gradient lies as [batch, sequence, hidden]. So rank 0 got "
        "the first batches instead of the first tokens of every batch. With batch 1 it would have been right.",
        "grad.chunk(p, dim=1): shard r must hold what rank r is to get, the tokens r of every batch.",
    ),
    Mutant(
        "joined as it lies",
        pair(_as_it_lies, lambda grad: reduce_scattered(grad, 1)),
        "The whole has the right shape and the tokens are in wrong places: gathered memory lies rank by rank, each "
        "with all texts of the batch. It has to be joined along the sequence, dim 1; a view only gives it another "
        "name.",
        "torch.cat(shards, dim=1).",
    ),
    Mutant(
        "joined along the batch",
        _along(0),
        "The shards are joined along dim 0, which is the batch. Your result has p times as many texts of the old "
        "length, where p times as many tokens are due.",
        "torch.cat(shards, dim=1).",
    ),
    Mutant(
        "joined along the hidden dim",
        _along(2),
        "The shards are joined along the last dim. Your tokens have become p times as wide, where p times as many "
        "tokens are due.",
        "torch.cat(shards, dim=1).",
    ),
    Mutant(
        "plain all_gather cuts the graph",
        lambda x: joined(x, 1),
        "The whole sequence is right, and no gradient comes back: all_gather wrote it into fresh tensors, which "
        "autograd does not connect with x (pytorch/pytorch#121587).",
        "an autograd Function around the all_gather.",
    ),
    Mutant(
        "whole gradient",
        _back(lambda grad: grad),
        "You returned a gradient of the whole sequence. x is this rank's shard of it, and so is its gradient: shard r "
        "of the sum over ranks.",
        "backward: one reduce_scatter, in place of an all_reduce or of nothing.",
    ),
    Mutant(
        "rank 0's shard for everybody",
        _back(lambda grad: own(summed(grad), 1, 0)),
        "Every rank got the first shard of the summed gradient, which is rank 0's. Rank r's tokens stand at place r.",
        "which shard a rank keeps.",
    ),
)
