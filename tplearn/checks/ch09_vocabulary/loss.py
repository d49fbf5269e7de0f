"""Exercise 09.4: cross-entropy with a z-loss of logits that are cut by words, with three small all-reduces."""

import torch
from torch import Tensor

from tplearn.checks.ch09_vocabulary import cross_entropy as step
from tplearn.checks.ch09_vocabulary.cross_entropy import Loss
from tplearn.checks.ch09_vocabulary.inputs import padded_shards, words, words_of
from tplearn.checks.ch09_vocabulary.lookup import range_by_division
from tplearn.checks.ch09_vocabulary.loss_terms import TERMS
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick, randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.ranks import per_rank

# tp, words, multiple of the rows, where the logits lie: exp(900) is infinite in float64, exp(-900) is 0.
SETTINGS = (
    (1, 5, 4, 0),
    (1, 5, 1, 900),
    (2, 131, 1, 0),
    (2, 7, 6, 900),
    (3, 11, 1, 900),
    (3, 11, 5, -900),
    (4, 5, 1, 0),
    (4, 13, 4, -900),
)


def parallel_cross_entropy(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """logits_shard: [tokens, rows], −∞ in the padding; targets: [tokens] → the mean loss, the same on every rank."""
    return Loss()(logits_shard, targets, vocab_size, z_weight)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size, multiple, offset in SETTINGS:
        rows = words_of(vocab_size, 0, tp, multiple)[2]
        dense = 3 * randn(generator, 8, vocab_size) + offset
        shards = padded_shards(generator, dense, tp, 1, rows, -torch.inf)
        args = (per_rank(shards), words(generator, vocab_size, rows, tp, 8), vocab_size, pick(generator, 1, 9) / 100)
        cases.append(Case(tp, args, label=f"{vocab_size} words, {rows} rows, logits near {offset}"))
    return cases


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
            Loss(largest=lambda logits: logits.detach().amax(-1)),
            "Each rank subtracted its own maximum. Its sum of exponentials is then in units of its own, and sums in "
            "different units cannot be added: the total is Σ_r exp(−m_r) · S_r, with another m_r on every rank.",
            "the maximum: all_reduce it with MAX before anything is subtracted.",
        ),
        Mutant(
            "mean of local losses",
            step.local_losses,
            "Each rank made a softmax over its own words, and you averaged the losses. A softmax over some of the "
            "words is another softmax: the words of the other ranks are missing from its denominator.",
            "what is summed over the ranks: the exponentials, before the logarithm.",
        ),
        Mutant(
            "logarithms added",
            step.local_log,
            "Each rank took the logarithm of its own sum, and the logarithms were added. The sum over all words comes "
            "first, the logarithm after.",
            "what is summed over the ranks: the exponentials, before the logarithm.",
        ),
        Mutant(
            "gathered logits",
            step.gathered,
            "The loss is right, and so is the gradient. But the logits crossed the wire and lie whole on every rank, "
            "where a maximum and two sums of one number per token would do.",
            "the ledger: one all_gather of tokens · rows numbers, where three all_reduce of [tokens] are due.",
        ),
        Mutant(
            "whole logits in the parallel loss",
            step.whole_logits,
            "Your sum of exponentials is tp times too large. The logits were gathered, and then every rank added the "
            "exponentials of all words: the sum over ranks counts each word tp times, and the cross-entropy is too "
            "large by log(tp).",
            "what each rank adds to the sum: the exponentials of its own words only.",
        ),
        Mutant(
            "row 0 for foreign targets",
            Loss(target=step.row_0_elsewhere),
            "A rank that does not own the target still gave the logit of its first word, and it was added. Only the "
            "owner of the target may speak; the others bring 0.",
            "the target's logit, where the target belongs to another rank.",
        ),
        Mutant(
            "foreign targets clamped",
            Loss(target=step.clamped),
            "A rank that does not own the target still gave the logit of its nearest word, and it was added. Only the "
            "owner of the target may speak; the others bring 0.",
            "the target's logit, where the target belongs to another rank.",
        ),
        Mutant(
            "mask by multiplication",
            Loss(target=step.multiplied),
            "You multiplied the logits with a mask. In the padding that is −∞ · 0, which is not a number. Pick the "
            "target with gather, or fill with torch.where or masked_fill.",
            "where NaN comes from: the shard with padding.",
        ),
        Mutant(
            "target not summed",
            Loss(target_sum=lambda own: own),
            "Your target's logit stayed on its owner: the other ranks go on with 0, and every rank has a loss of its "
            "own.",
            "the second sum: the target's logit.",
        ),
        Mutant(
            "exponentials not summed",
            Loss(total=lambda own: own),
            "Your sum of exponentials runs over the rank's own words alone.",
            "the first sum: the exponentials.",
        ),
        Mutant(
            "mean for sum",
            Loss(total=step.mean),
            "You averaged the ranks' sums of exponentials: each is a partial of one sum, and they add up. Your "
            "cross-entropy is too small by log(tp).",
            "the reduce op of the sums: SUM.",
        ),
        Mutant(
            "rows by division",
            Loss(own_range=range_by_division),
            "You took ⌈words / p⌉ for the number of rows. The shard may have been padded to a multiple: it has "
            "logits_shard.shape[1] rows, and the next rank's words begin after as many.",
            "the number of rows: logits_shard knows.",
        ),
        Mutant(
            "no maximum",
            Loss(largest=lambda logits: logits.new_zeros(len(logits))),
            "The formula is right, but exp of a large logit overflows: exp(900) is infinite in float64, and exp(89) "
            "in float32. And exp(−900) is 0, with −∞ as its logarithm. Subtract the maximum over all words first.",
            "the exponentials: nothing was subtracted.",
        ),
        Mutant(
            "gradient through the maximum",
            Loss(largest=lambda logits: step.maximum(logits.max(-1).values)),
            "The loss is right. But autograd went back through the maximum, and each rank gave that gradient to the "
            "largest of its own logits. On one rank these terms cancel to zero; on several they do not.",
            "the maximum: .detach() it. The loss does not depend on what is subtracted.",
        ),
        Mutant(
            "gradient through an overwritten maximum",
            Loss(largest=lambda logits: step.maximum(logits.amax(-1))),
            "The loss is right. But autograd had kept your amax to find its way back to the largest logit, and "
            "all_reduce wrote another rank's number over it: no logit equals it now, and the gradient is 0 / 0. The "
            "maximum needs no gradient at all.",
            "the maximum: take it of logits_shard.detach().",
        ),
        Mutant(
            "plain all_reduce",
            Loss(total=step.plain_sum, target_sum=step.plain_sum),
            "The numbers are right, by luck: autograd does not know dist.all_reduce, and sends the gradient on as if "
            "no sum had happened. Here that is what is due. torch warns of it, and may change it "
            "(pytorch/pytorch#121587).",
            "the two sums: reduce_from_group, which is an autograd Function.",
        ),
        Mutant(
            "summed on the way back too",
            Loss(total=step.summed_both_ways, target_sum=step.summed_both_ways),
            "Your loss is right, and its gradient is summed over the ranks on the way back: tp times too large. Every "
            "rank has the whole gradient of a sum already.",
            "the backward of the two sums: it sends nothing.",
        ),
        *TERMS,
    ),
    ready=("tplearn.parallel.cross_entropy",),
)
