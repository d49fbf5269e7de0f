"""Exercise 09.4: cross-entropy of logits that are cut by words, with three small all-reduces."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import own_range, padded_shards, words
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import gather_from_group, reduce_from_group
from tplearn.ranks import per_rank


def _maximum(logits: Tensor) -> Tensor:
    largest = logits.amax(-1)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest[:, None]


def _of_target(z: Tensor, targets: Tensor, vocab_size: int, mask: bool = True) -> Tensor:
    """[tokens]: z at the target where this rank owns it, otherwise 0 (or, without mask, of some own word)."""
    start, stop, _ = own_range(vocab_size)
    elsewhere = (targets < start) | (targets >= stop)
    found = z.gather(-1, (targets - start).masked_fill(elsewhere, 0)[:, None]).squeeze(-1)
    return found.masked_fill(elsewhere, 0) if mask else found


def parallel_cross_entropy(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """logits_shard: [tokens, rows], −∞ in the padding; targets: [tokens] → the mean loss, the same on every rank."""
    z = logits_shard - _maximum(logits_shard.detach())
    total = reduce_from_group(z.exp().sum(-1))
    return (total.log() - reduce_from_group(_of_target(z, targets, vocab_size))).mean()


def _cases(generator: torch.Generator) -> list[Case]:
    """From two ranks on: on one, whether dist.all_reduce is called or left out is a matter of taste."""
    cases = []
    for tp, vocab_size, offset in ((2, 131, 0.0), (3, 11, 900.0), (4, 5, 0.0)):  # exp(900) is too large for float64
        dense = 3 * randn(generator, 8, vocab_size) + offset
        shards = padded_shards(generator, dense, tp, 1, -torch.inf)
        cases.append(Case(tp, (per_rank(shards), words(generator, vocab_size, tp, 8), vocab_size)))
    return cases


def _local_max(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    z = logits_shard - logits_shard.detach().amax(-1, keepdim=True)
    total = reduce_from_group(z.exp().sum(-1))
    return (total.log() - reduce_from_group(_of_target(z, targets, vocab_size))).mean()


def _mean_of_local_losses(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    of_target = _of_target(logits_shard, targets, vocab_size)
    return reduce_from_group((logits_shard.logsumexp(-1) - of_target).mean()) / dist.get_world_size()


def _gathered(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    return F.cross_entropy(gather_from_group(logits_shard, -1)[:, :vocab_size], targets)


def _whole_logits(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    whole = gather_from_group(logits_shard, -1)[:, :vocab_size]
    z = whole - _maximum(whole.detach())
    total = reduce_from_group(z.exp().sum(-1))
    return (total.log() - z.gather(-1, targets[:, None]).squeeze(-1)).mean()


def _target_not_masked(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    z = logits_shard - _maximum(logits_shard.detach())
    total = reduce_from_group(z.exp().sum(-1))
    return (total.log() - reduce_from_group(_of_target(z, targets, vocab_size, mask=False))).mean()


def _no_maximum(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    total = reduce_from_group(logits_shard.exp().sum(-1))
    return (total.log() - reduce_from_group(_of_target(logits_shard, targets, vocab_size))).mean()


def _from_maximum(logits_shard: Tensor, targets: Tensor, vocab_size: int, largest: Tensor) -> Tensor:
    """The loss as it comes out where autograd knows of `largest`, this rank's maximum."""
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    z = logits_shard - largest[:, None]
    total = reduce_from_group(z.exp().sum(-1))
    return (total.log() - reduce_from_group(_of_target(z, targets, vocab_size))).mean()


def _gradient_through_max(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    return _from_maximum(logits_shard, targets, vocab_size, logits_shard.max(-1).values)


def _gradient_through_amax(logits_shard: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    return _from_maximum(logits_shard, targets, vocab_size, logits_shard.amax(-1))


PARALLEL_CROSS_ENTROPY = Exercise(
    number="09.4",
    name="parallel_cross_entropy",
    points=20,
    difficulty=3,
    minutes=20,
    reference=parallel_cross_entropy,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "local max",
            _local_max,
            "Each rank subtracted its own maximum. Its sum of exponentials is then in units of its own, and sums in "
            "different units cannot be added: the total is Σ_r exp(−m_r) · S_r, with another m_r on every rank.",
            "the maximum: all_reduce it with MAX before anything is subtracted.",
        ),
        Mutant(
            "mean of local losses",
            _mean_of_local_losses,
            "Each rank made a softmax over its own words, and you averaged the losses. A softmax over a part of the "
            "words is another softmax: the words of the other ranks are missing from its denominator.",
            "what is summed over the ranks: the exponentials, before the logarithm.",
        ),
        Mutant(
            "gathered logits",
            _gathered,
            "The loss is right, and so is the gradient. But the logits crossed the wire and lie whole on every rank, "
            "where a maximum and two sums of one number per token would do.",
            "the ledger: one all_gather of tokens · rows numbers, where three all_reduce of [tokens] are due.",
        ),
        Mutant(
            "whole logits in the parallel loss",
            _whole_logits,
            "Your loss is too large by log(tp). The logits were gathered, and then every rank added the exponentials "
            "of all words: the sum over ranks counts each word tp times.",
            "what each rank adds to the sum: the exponentials of its own words only.",
        ),
        Mutant(
            "off-rank targets not masked",
            _target_not_masked,
            "A rank that does not own the target still gave the logit of some word of its own, and it was added. Only "
            "the owner of the target may speak; the others bring 0.",
            "the target's logit, where the target belongs to another rank.",
        ),
        Mutant(
            "no maximum",
            _no_maximum,
            "The formula is right, but exp of a large logit overflows: exp(900) is infinite in float64, and exp(89) in "
            "float32. Subtract the maximum over all words first; it cancels in the result.",
            "the exponentials: nothing was subtracted.",
        ),
        Mutant(
            "gradient through the maximum",
            _gradient_through_max,
            "The loss is right. But autograd went back through the maximum, and each rank gave that gradient to the "
            "largest of its own logits. On one rank these terms cancel to zero; on several they do not, because "
            "each rank sees its own share of them only.",
            "the maximum: .detach() it. The loss does not depend on what is subtracted.",
        ),
        Mutant(
            "gradient through an overwritten maximum",
            _gradient_through_amax,
            "The loss is right. But autograd had kept your amax to find its way back to the largest logit, and "
            "all_reduce wrote another rank's number over it: no logit equals it now, and the gradient is 0 / 0. "
            "The maximum needs no gradient at all: it cancels in the loss.",
            "the maximum: take it of logits_shard.detach().",
        ),
    ),
)
