"""Wrong answers to exercise 10.3: gradients that are not summed, or the wrong ones, and norms that are none."""

import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.exercise import mutants_of
from tplearn.parallel import copy_to_group, gather_sequence, reduce_from_group
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place


def _norm(x_shard: Tensor, weight: Tensor, wrong: str) -> Tensor:
    """RMSNorm of own tokens, with one thing `wrong`."""
    p, rank = dist.get_world_size(), dist.get_rank()
    summed = copy_to_group(weight)
    if wrong == "not summed":
        summed = weight
    if wrong == "averaged":
        share = weight / p
        summed = copy_to_group(share + (weight - share).detach())  # the weight, with a p-th of its gradient
    if wrong == "summed twice":
        summed = copy_to_group(copy_to_group(weight))
    if wrong == "g for f":
        summed = reduce_from_group(weight)
    if wrong == "weight averaged forward":
        summed = weight + (plain_all_reduce(weight.detach(), Place.of()) / p - weight).detach()
    if wrong == "copies averaged":
        summed = reduce_from_group(weight) / p
    if wrong == "f on x too":
        x_shard = copy_to_group(x_shard)
    if wrong == "f on x only":
        x_shard, summed = copy_to_group(x_shard), weight
    if wrong == "f after the norm":
        return copy_to_group(_rms(x_shard) * weight)
    if wrong == "all tokens fetched":
        return (_rms(gather_sequence(x_shard)) * summed).chunk(p, dim=1)[rank].clone()
    if wrong == "length one":
        return F.normalize(x_shard, dim=-1) * summed
    if wrong == "layer norm":
        return F.layer_norm(x_shard, weight.shape, summed, None, 1e-6)
    return _rms(x_shard, wrong) * summed


def _rms(x: Tensor, wrong: str = "") -> Tensor:
    square = x.square().mean(-1, True)
    if wrong == "mean over all tokens":
        square = x.square().mean((1, 2), keepdim=True)
    if wrong == "mean over the shard":
        square = x.square().mean()
    if wrong == "mean over tokens":
        square = x.square().mean(1, keepdim=True)
    if wrong == "sum for mean":
        square = square * x.shape[-1]
    if wrong == "mean over the ranks too":
        square = reduce_from_group(square) / dist.get_world_size()
    if wrong == "no root":
        return x / (square + 1e-6)
    if wrong == "epsilon outside the root":
        return x / (square.sqrt() + 1e-6)
    if wrong == "epsilon 1e-5":
        return x / (square + 1e-5).sqrt()
    return x / (square + (0 if wrong == "no epsilon" else 1e-6)).sqrt()


MUTANTS = mutants_of(
    _norm,
    (
        "not summed",
        "Each rank's weight gradient comes from its own tokens alone, so the ranks differ, and after the first step "
        "they hold different weights (NVIDIA/Megatron-LM#1446). The dense gradient is the sum over all tokens, so "
        "over all ranks.",
        "what comes back to weight. Its p copies are one parameter: f from chapter 06.",
    ),
    (
        "averaged",
        "Your weight gradient is the right one divided by tp. A mean is right over data-parallel ranks, where each "
        "loss is a mean over its own batch. Here all ranks work on one loss: sum (EleutherAI/gpt-neox#1257).",
        "the reduce op, or a division by the number of ranks.",
    ),
    (
        "summed twice",
        "Your weight gradient is tp times the right one: it was summed over the ranks, and then the sums were summed.",
        "how often weight passes through f: once.",
    ),
    (
        "g for f",
        "Your result is tp times the right one: the weight was summed over the ranks in the forward pass, where it is "
        "the same on all of them. And its gradient was not summed.",
        "copy_to_group sums in the backward pass, reduce_from_group in the forward pass.",
    ),
    (
        "weight averaged forward",
        "You made the weights agree in the forward pass. They agree already; it is their gradients that differ, and "
        "those are still partials.",
        "the direction: the sum belongs in the backward pass.",
    ),
    (
        "copies averaged",
        "You averaged the weight over the ranks on the way there, where its copies are equal anyway. On the way back "
        "the mean divides by tp and adds nothing up: each rank has a tp-th of its own tokens' gradient.",
        "copy_to_group sums in the backward pass, where the copies differ.",
    ),
    (
        "f on x too",
        "You summed the gradient of x_shard over the ranks as well. These are different tokens on each rank: nothing "
        "is shared, and nothing may be added.",
        "which of the two arguments is the same on every rank.",
    ),
    (
        "f on x only",
        "You summed the gradient of x_shard over the ranks, and the weight's not. It is the other way round: each "
        "rank has tokens of its own, and the same weight.",
        "which of the two arguments is the same on every rank.",
    ),
    (
        "f after the norm",
        "f stands after the norm, on its result: what comes back there belongs to different tokens on each rank, and "
        "was added up.",
        "what goes through copy_to_group: the weight, before the norm uses it.",
    ),
    (
        "all tokens fetched",
        "The numbers are right, but you gathered all tokens to norm your own. A norm looks at one token at a time: "
        "nothing has to be fetched.",
        "the ledger due is one all_reduce of [hidden] numbers, in the backward pass.",
    ),
    (
        "mean over the shard",
        "You took one mean over the whole shard: texts, tokens and hidden numbers. A norm treats each token by itself: "
        "its mean runs over the hidden dimension alone.",
        "the dimension of the mean: the last one.",
    ),
    (
        "mean over all tokens",
        "You took the mean over tokens and hidden numbers. A norm treats each token by itself: its mean runs over the "
        "hidden dimension alone.",
        "the dimension of the mean: the last one.",
    ),
    (
        "mean over tokens",
        "You took the mean over the tokens, dim 1. It runs over the hidden dimension, the last one.",
        "the dimension of the mean.",
    ),
    (
        "mean over the ranks too",
        "You averaged the mean square over the ranks. These are different tokens, and a norm treats each by itself. "
        "The hidden dimension is whole on every rank.",
        "the forward pass: nothing has to be sent.",
    ),
    (
        "sum for mean",
        "You divided by the root of the sum of squares. RMSNorm divides by the root of their mean: what you have is "
        "too small by √hidden.",
        "mean, not sum.",
    ),
    (
        "length one",
        "You divided each token by its length, the root of its sum of squares. RMSNorm divides by the root of the "
        "mean square: what you have is too small by √hidden.",
        "mean(x²) under the root, and the epsilon.",
    ),
    (
        "layer norm",
        "That is a LayerNorm: it takes the mean away first. RMSNorm divides by the root of the mean square, and "
        "nothing else.",
        "x / sqrt(mean(x²) + 1e-6) · weight.",
    ),
    (
        "no root",
        "You divided by the mean square itself. Its root is due.",
        "the square root.",
    ),
    (
        "epsilon outside the root",
        "You added 1e-6 to the root. It stands under the root: where a token's numbers are tiny, that is a thousand "
        "times as much.",
        "sqrt(mean(x²) + 1e-6).",
    ),
    (
        "epsilon 1e-5",
        "Your epsilon is 1e-5. It is 1e-6 here, and where a token's numbers are small that shows.",
        "the third number of the formula.",
    ),
    (
        "no epsilon",
        "There is no epsilon under your root, or next to none: F.rms_norm takes its own where you give none. Where a "
        "token's numbers are tiny it matters, and where they are all zero you divide by zero.",
        "sqrt(mean(x²) + 1e-6).",
    ),
)
