"""The loss of exercise 09.4, as steps of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import own_words
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group

Numbers = Callable[[Tensor], Tensor]


def maximum(largest: Tensor) -> Tensor:
    """[tokens]: the largest over the ranks, written into its argument."""
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest


def of_all(logits: Tensor) -> Tensor:
    """The largest logit of each token, which autograd knows nothing of."""
    return maximum(logits.detach().amax(-1))


def own_target(z: Tensor, targets: Tensor, start: int, stop: int) -> Tensor:
    """[tokens]: z at the target where this rank owns it, otherwise 0."""
    elsewhere = (targets < start) | (targets >= stop)
    column = (targets - start).masked_fill(elsewhere, 0)
    return z.gather(-1, column[:, None]).squeeze(-1).masked_fill(elsewhere, 0)


def row_0_elsewhere(z: Tensor, targets: Tensor, start: int, stop: int) -> Tensor:
    """z of the first own word where the target is elsewhere."""
    elsewhere = (targets < start) | (targets >= stop)
    return z.gather(-1, (targets - start).masked_fill(elsewhere, 0)[:, None]).squeeze(-1)


def clamped(z: Tensor, targets: Tensor, start: int, stop: int) -> Tensor:
    """z of the nearest own word where the target is elsewhere."""
    column = (targets - start).clamp(0, max(stop - start - 1, 0))
    return z.gather(-1, column[:, None]).squeeze(-1)


def multiplied(z: Tensor, targets: Tensor, start: int, stop: int) -> Tensor:
    """z times one-hot, which is −∞ · 0 in the padding."""
    columns = torch.arange(start, start + z.shape[1])
    return (z * (targets[:, None] == columns)).sum(-1)


def mean(x: Tensor) -> Tensor:
    """Over the ranks."""
    return reduce_from_group(x) / dist.get_world_size()


def ranks() -> int:
    """How many there are."""
    return dist.get_world_size()


def plain_sum(x: Tensor) -> Tensor:
    """dist.all_reduce on a copy, which autograd takes for nothing."""
    total = x.clone()
    dist.all_reduce(total)
    return total


def summed_both_ways(x: Tensor) -> Tensor:
    """A sum whose backward is a sum."""
    return copy_to_group(reduce_from_group(x))


class Parts(NamedTuple):
    """What is known of each token: log of the sum of exp(z − m), m, and the target's z − m."""

    log_total: Tensor
    largest: Tensor
    of_target: Tensor
    z_weight: float

    @property
    def log_z(self) -> Tensor:
        """The logarithm of the whole sum of exponentials."""
        return self.log_total + self.largest

    @property
    def entropy(self) -> Tensor:
        """The cross-entropy of each token."""
        return self.log_total - self.of_target


def finish(parts: Parts) -> Tensor:
    """Cross-entropy and z-loss, the mean over the tokens."""
    return (parts.entropy + parts.z_weight * parts.log_z.square()).mean()


def unshifted_target(parts: Parts) -> Tensor:
    """The target's z as it was, beside the logarithm of the shifted sum."""
    entropy = parts.log_total - (parts.of_target + parts.largest)
    return (entropy + parts.z_weight * parts.log_z.square()).mean()


class Loss(NamedTuple):
    """parallel_cross_entropy, step by step."""

    largest: Numbers = of_all
    total: Numbers = reduce_from_group
    target: Callable[[Tensor, Tensor, int, int], Tensor] = own_target
    target_sum: Numbers = reduce_from_group
    finish: Callable[[Parts], Tensor] = finish
    own_range: Callable[[int, int], tuple[int, int]] = own_words

    def __call__(self, logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
        """The mean loss."""
        largest = self.largest(logits_shard)
        z = logits_shard - largest[:, None]
        total = self.total(z.exp().sum(-1))
        of_target = self.target(z, targets, *self.own_range(vocab_size, logits_shard.shape[1]))
        return self.finish(Parts(total.log(), largest, self.target_sum(of_target), z_weight))


def owners_maximum(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """The rank with the maximum goes back through it; the target's logit is not shifted."""
    own = logits_shard.max(-1).values
    largest = torch.where(own == of_all(logits_shard), own, of_all(logits_shard))
    log_z = reduce_from_group((logits_shard - largest[:, None]).exp().sum(-1)).log() + largest
    of_target = own_target(logits_shard, targets, *own_words(vocab_size, logits_shard.shape[1]))
    return (log_z - reduce_from_group(of_target) + z_weight * log_z.square()).mean()


def local_losses(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """A softmax over the own words on each rank; the mean of the losses."""
    own = own_target(logits_shard, targets, *own_words(vocab_size, logits_shard.shape[1]))
    log_z = logits_shard.logsumexp(-1)
    return reduce_from_group((log_z - own + z_weight * log_z.square()).mean()) / dist.get_world_size()


def local_log(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """The logarithm before the sum over the ranks."""
    log_z = reduce_from_group(logits_shard.logsumexp(-1))
    own = own_target(logits_shard, targets, *own_words(vocab_size, logits_shard.shape[1]))
    return (log_z - reduce_from_group(own) + z_weight * log_z.square()).mean()


def gathered(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """All logits on every rank."""
    whole = gather_from_group(logits_shard, -1)[:, :vocab_size]
    return F.cross_entropy(whole, targets) + z_weight * whole.logsumexp(-1).square().mean()


def whole_logits(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """All logits on every rank, and then the sum over the ranks."""
    whole = gather_from_group(logits_shard, -1)[:, :vocab_size]
    largest = of_all(whole)
    z = whole - largest[:, None]
    total = reduce_from_group(z.exp().sum(-1))
    return finish(Parts(total.log(), largest, z.gather(-1, targets[:, None]).squeeze(-1), z_weight))
