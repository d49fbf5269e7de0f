"""Exercise 09.3: logits of a rank's own words, with minus infinity in the padding."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import cut_forward_and_gradient, is_padding, own_range, padded_shards
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import copy_to_group, gather_from_group
from tplearn.ranks import per_rank


def parallel_logits(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    """x: [tokens, width]; weight_shard: [rows, width] → [tokens, rows], −∞ where a row is no word."""
    logits_shard = F.linear(copy_to_group(x), weight_shard)
    return logits_shard.masked_fill(is_padding(vocab_size), -torch.inf)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size in ((1, 5), (2, 11), (3, 131), (4, 5)):
        x, shards = randn(generator, 3, 4), padded_shards(generator, randn(generator, vocab_size, 4), tp, 0, None)
        upstream = [randn(generator, 3, len(shard)) for shard in shards]
        cases.append(Case(tp, (per_rank([(x, shard, vocab_size) for shard in shards]), per_rank(upstream))))
    return cases


def _f_missing(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    return F.linear(x, weight_shard).masked_fill(is_padding(vocab_size), -torch.inf)


def _padding_left(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    return F.linear(copy_to_group(x), weight_shard)


def _zeros(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    return F.linear(copy_to_group(x), weight_shard).masked_fill(is_padding(vocab_size), 0)


def _padding_on_every_rank(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    rows = own_range(vocab_size)[2]
    last = torch.arange(rows) >= (vocab_size - 1) % rows + 1
    return F.linear(copy_to_group(x), weight_shard).masked_fill(last, -torch.inf)


def _gathered(x: Tensor, weight_shard: Tensor, vocab_size: int) -> Tensor:
    return gather_from_group(parallel_logits(x, weight_shard, vocab_size), -1)[:, :vocab_size]


PARALLEL_LOGITS = Exercise(
    number="09.3",
    name="parallel_logits",
    points=10,
    difficulty=2,
    minutes=10,
    reference=parallel_logits,
    cases=_cases,
    observe=cut_forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "f missing",
            _f_missing,
            "The logits are right, but each rank keeps the gradient of x that its own words caused. x went to every "
            "rank, so its gradient is the sum over all of them.",
            "x, before the matmul: copy_to_group does nothing forward and all-reduces backward.",
        ),
        Mutant(
            "padded rows in the softmax",
            _padding_left,
            "You left the padding as it came out of the matmul. In a softmax each of those numbers takes its share of "
            "the probability, and one of them may be sampled: a word that no tokenizer knows.",
            "the last columns of the last ranks: rows beyond stop − start.",
        ),
        Mutant(
            "zeros in the padding",
            _zeros,
            "You wrote 0 into the padding. A logit of 0 is not a probability of 0: exp(0) = 1, so each row of padding "
            "adds 1 to the softmax's sum. Only minus infinity is nothing: exp(−∞) = 0.",
            "the number that you fill in.",
        ),
        Mutant(
            "padding on every rank",
            _padding_on_every_rank,
            "You cut the same number of columns off on every rank. The padding stands at the end of the last ranks "
            "only; on the others you made true words impossible.",
            "stop − start, rank by rank: where it equals rows there is no padding.",
        ),
        Mutant(
            "gathered logits",
            _gathered,
            "You gathered the logits. The numbers are right, but the biggest activation of the model crossed the wire "
            "and now lies whole on every rank. Return the columns of your own words.",
            "the ledger: forward there is nothing to send.",
        ),
    ),
)
