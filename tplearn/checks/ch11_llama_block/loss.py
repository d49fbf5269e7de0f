"""Exercise 11.3: from the last block's output to the model's one loss: norm, head, shift, parallel cross-entropy."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch11_llama_block.parts import HIDDEN, norm
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, vocab_parallel_cross_entropy
from tplearn.ranks import per_rank


def next_word_loss(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    """x: [batch, seq, hidden]; ids: [batch, seq]; norm_weight: [hidden]; head_shard: [words/p, hidden] → the loss."""
    return vocab_parallel_cross_entropy(_logits(x, norm_weight, head_shard)[:, :-1], ids[:, 1:])


def _logits(x: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return F.linear(copy_to_group(norm(x, norm_weight)), head_shard)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        x, weight = randn(generator, 2, 6, HIDDEN), 1 + 0.5 * randn(generator, HIDDEN)
        ids = torch.randint(5 * tp, (2, 6), generator=generator)
        cases.append(Case(tp, (x, ids, weight, per_rank([randn(generator, 5, HIDDEN) for _ in range(tp)]))))
    return cases


def _averaged(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return reduce_from_group(next_word_loss(x, ids, norm_weight, head_shard)) / dist.get_world_size()


def _summed(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return reduce_from_group(next_word_loss(x, ids, norm_weight, head_shard))


def _not_shifted(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return vocab_parallel_cross_entropy(_logits(x, norm_weight, head_shard), ids)


def _shifted_back(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return vocab_parallel_cross_entropy(_logits(x, norm_weight, head_shard)[:, 1:], ids[:, :-1])


def _rolled(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    return vocab_parallel_cross_entropy(_logits(x, norm_weight, head_shard), ids.roll(-1, 1))


def _gathered(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    logits = gather_from_group(_logits(x, norm_weight, head_shard), -1)[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def _f_missing(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    logits = F.linear(norm(x, norm_weight), head_shard)
    return vocab_parallel_cross_entropy(logits[:, :-1], ids[:, 1:])


def _own_words_only(x: Tensor, ids: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    logits, targets = _logits(x, norm_weight, head_shard)[:, :-1], ids[:, 1:]
    losses = vocab_parallel_cross_entropy(logits, targets, reduction="none")
    own = targets // len(head_shard) == dist.get_rank()
    return reduce_from_group(losses[own].sum() / own.sum().clamp(min=1)) / dist.get_world_size()


NEXT_WORD_LOSS = Exercise(
    number="11.3",
    name="next_word_loss",
    points=10,
    difficulty=2,
    minutes=10,
    reference=next_word_loss,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "averaged over the ranks",
            _averaged,
            "The loss is right, and that is the trap: the mean of tp equal numbers. But the gradients went through "
            "the division, so all of them are divided by tp. The ranks have one loss, not tp of them.",
            "the last line. In data parallelism there are many losses; here all ranks hold the same one.",
        ),
        Mutant(
            "summed over the ranks",
            _summed,
            "You added the same loss up once for each rank: the value is tp times too large. The gradients are right, "
            "because g hands them back as they are.",
            "the last line: vocab_parallel_cross_entropy returns the loss of all words already.",
        ),
        Mutant(
            "targets not shifted",
            _not_shifted,
            "Each position is asked for its own word, which it can see. Such a loss falls fast, and the model learns "
            "to copy. Position t predicts word t + 1.",
            "which logits meet which ids.",
        ),
        Mutant(
            "shifted the wrong way",
            _shifted_back,
            "Each position is asked for the word before it. Position t predicts word t + 1: drop the last position "
            "of the logits, and the first word of the ids.",
            "which end of the logits and which end of the ids is cut off.",
        ),
        Mutant(
            "targets rolled",
            _rolled,
            "You shifted the ids in a circle: the last position is asked for the first word of its text, which nobody "
            "can know. It has no target.",
            "the last position: it must not be in the mean.",
        ),
        Mutant(
            "logits gathered",
            _gathered,
            "Loss and gradients are right. But all logits crossed the wire, [batch, seq, words], and lie whole on "
            "every rank, where three numbers a token would do.",
            "the ledger: three small all_reduce are due, and no all_gather.",
        ),
        Mutant(
            "f missing",
            _f_missing,
            "The loss is right. But the head is a column cut: each rank's words send back a summand of the gradient, "
            "and without f nobody adds them up. x and the norm get this rank's share.",
            "copy_to_group, between the norm and the head.",
        ),
        Mutant(
            "mean over own targets",
            _own_words_only,
            "Each rank averaged the losses of the targets that it owns, and you averaged the ranks. Ranks own "
            "different numbers of targets, so a rank with few of them counts too much.",
            "the mean: one over all tokens. The parallel loss has it already.",
        ),
    ),
)
