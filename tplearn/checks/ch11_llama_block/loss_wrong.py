"""Wrong answers to exercise 11.3: the shift, the ends of the texts, the mean, and what the ranks do with one loss."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch11_llama_block.parts import norm
from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    vocab_parallel_cross_entropy,
)

IGNORED = -100


def wrong_loss(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head_shard: Tensor, wrong: str) -> Tensor:
    """The loss of the next words, with one thing `wrong`."""
    logits, targets = _logits(x, norm_weight, head_shard, wrong)[:, :-1], ids[:, 1:]
    if wrong == "shifted the wrong way":
        logits, targets = _logits(x, norm_weight, head_shard)[:, 1:], ids[:, :-1]
    if wrong == "not shifted":
        logits, targets = _logits(x, norm_weight, head_shard), ids
    if wrong in ("rolled", "rolled with its mask", "one target too many, in a circle"):
        logits, targets = _logits(x, norm_weight, head_shard), ids.roll(-1, 1)
    ends = {
        "one target too many": lengths,
        "one target too many, in a circle": lengths,
        "one target too few": lengths - 2,
        "not shifted": lengths,
    }
    end = ends.get(wrong, lengths - 1)[:, None]
    counted = torch.arange(targets.shape[1]) < end
    if wrong == "rolled with its mask":
        counted = (torch.arange(targets.shape[1]) < lengths[:, None]).roll(-1, 1)
    if wrong == "word 0 for padding":
        counted = targets != 0
    if wrong == "padding counted":
        counted = torch.ones_like(counted)
    if wrong == "cut at the shortest":
        counted = counted & (torch.arange(targets.shape[1]) < lengths.min())
    if wrong == "left padding":
        counted = torch.arange(targets.shape[1]) >= targets.shape[1] - end
    targets = targets.masked_fill(~counted, 0 if wrong == "padding as word 0" else IGNORED)
    if wrong in ("logits gathered", "logits gathered, gradients added"):
        gather = gather_from_group if wrong == "logits gathered" else gather_sequence
        return F.cross_entropy(gather(logits, -1).flatten(0, 1), targets.flatten())
    if wrong == "foreign words folded":
        own = torch.where(targets == IGNORED, targets, targets % len(head_shard))
        return F.cross_entropy(logits.flatten(0, 1), own.flatten())
    if wrong == "text by text":
        texts = [vocab_parallel_cross_entropy(z, t, reduction="sum") for z, t in zip(logits, targets, strict=True)]
        return sum(texts) / counted.sum()
    if wrong == "own words only":
        return _of_own_words(logits, targets)
    if wrong == "padding as word 0":
        return vocab_parallel_cross_entropy(logits, targets)
    losses = vocab_parallel_cross_entropy(logits, targets, reduction="none")
    number = counted.sum()
    means = {
        "mean over all positions": losses.mean(),
        "mean of the texts' means": (losses.sum(1) / counted.sum(1).clamp(min=1)).mean(),
        "mean of the longer texts' means": (losses.sum(1) / counted.sum(1).clamp(min=1)).sum() / (lengths > 1).sum(),
        "mean of no targets": (losses.sum(1) / counted.sum(1)).mean(),
        "divided by the texts": losses.sum() / len(ids),
        "divided by all places": losses.sum() / ids.numel(),
        "divided by the words": losses.sum() / lengths.sum(),
        "a sum": losses.sum(),
        "mean over own targets": _of_own_targets(losses, targets, len(head_shard)),
        "averaged over the ranks": reduce_from_group(losses.sum() / number) / dist.get_world_size(),
        "summed over the ranks": reduce_from_group(losses.sum() / number),
        "multiplied by the ranks": losses.sum() / number * dist.get_world_size(),
        "divided by the ranks": losses.sum() / number / dist.get_world_size(),
    }
    return means.get(wrong, losses.sum() / number)


def _logits(x: Tensor, norm_weight: Tensor, head_shard: Tensor, wrong: str = "") -> Tensor:
    if wrong == "f missing":
        return F.linear(norm(x, norm_weight), head_shard)
    if wrong == "f before the norm":
        return F.linear(norm(copy_to_group(x), norm_weight), head_shard)
    if wrong == "no norm":
        return F.linear(copy_to_group(x), head_shard) + 0 * norm_weight.sum()
    return F.linear(copy_to_group(norm(x, norm_weight)), head_shard)


def _of_own_targets(losses: Tensor, targets: Tensor, words: int) -> Tensor:
    own = (targets.div(words, rounding_mode="floor") == dist.get_rank()) & (targets != IGNORED)
    return reduce_from_group((losses * own).sum() / own.sum().clamp(min=1)) / dist.get_world_size()


def _of_own_words(logits: Tensor, targets: Tensor) -> Tensor:
    """A softmax over this rank's words alone, summed over the ranks."""
    words = logits.shape[-1]
    foreign = targets.div(words, rounding_mode="floor") != dist.get_rank()
    own = (targets - dist.get_rank() * words).masked_fill(foreign, IGNORED)
    total = F.cross_entropy(logits.flatten(0, 1), own.flatten(), reduction="sum")
    return reduce_from_group(total) / (targets != IGNORED).sum()
