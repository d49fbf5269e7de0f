"""Exercise 09.2: look words up in a table that is cut by words."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import own_range, padded_shards, words
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group
from tplearn.ranks import per_rank


def _summand(ids: Tensor, weight_shard: Tensor, vocab_size: int, own_padding: int | None) -> Tensor:
    start, stop, _ = own_range(vocab_size)
    elsewhere = (ids < start) | (ids >= stop)
    rows = F.embedding((ids - start).masked_fill(elsewhere, 0), weight_shard, own_padding)
    return rows.masked_fill(elsewhere[..., None], 0)


def _own_padding(vocab_size: int, padding_idx: int | None) -> int | None:
    start, stop, _ = own_range(vocab_size)
    return padding_idx - start if padding_idx is not None and start <= padding_idx < stop else None


def embed_words(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """ids: [batch, seq]; weight_shard: [rows, width] → [batch, seq, width], the same on every rank."""
    return reduce_from_group(_summand(ids, weight_shard, vocab_size, _own_padding(vocab_size, padding_idx)))


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size, padding_idx in ((1, 5, 2), (2, 131, 1), (3, 11, 1), (4, 5, 2)):
        ids = words(generator, vocab_size, tp, 2, 5)
        rows = -(-vocab_size // tp)
        ids[1, 3:] = torch.tensor([padding_idx, min(rows + 1, vocab_size - 1)])  # local index 1 of rank 1, a true word
        shards = padded_shards(generator, randn(generator, vocab_size, 3), tp, 0, None)
        cases.append(Case(tp, (ids, per_rank(shards), vocab_size, padding_idx)))
    return cases


def _not_masked(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    start, stop, rows = own_range(vocab_size)
    own_ids = (ids - start).clamp(0, rows - 1)
    return reduce_from_group(F.embedding(own_ids, weight_shard, _own_padding(vocab_size, padding_idx)))


def _local_padding(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    return reduce_from_group(_summand(ids, weight_shard, vocab_size, padding_idx))


def _padding_learns(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    return reduce_from_group(_summand(ids, weight_shard, vocab_size, None))


def _table_gathered(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    return F.embedding(ids, gather_from_group(weight_shard, 0), padding_idx)


def _gradient_summed(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    return embed_words(ids, copy_to_group(weight_shard), vocab_size, padding_idx)


EMBED_WORDS = Exercise(
    number="09.2",
    name="embed_words",
    points=10,
    difficulty=2,
    minutes=12,
    reference=embed_words,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "off-rank ids not masked",
            _not_masked,
            "Every rank looks something up for every id. For words of other ranks you pushed the index into the shard, "
            "and the row that you found there was added to the sum: one right vector and p − 1 wrong ones. On one rank "
            "no word is elsewhere, so it looks right.",
            "the summand, where the word belongs to another rank: it must be zero.",
        ),
        Mutant(
            "padding_idx taken as a local index",
            _local_padding,
            "padding_idx is a word of the whole vocabulary, and you handed it to a shard as it is. Every rank then "
            "stops the gradient of its own row with that number, so words that are not padding never learn; beyond the "
            "shard's end, F.embedding raises.",
            "the owner of padding_idx subtracts its start; all other ranks pass None.",
        ),
        Mutant(
            "padding learns",
            _padding_learns,
            "The vectors are right, but padding_idx gets a gradient. Nothing should be learnt from filler words.",
            "padding_idx: on the rank that owns it, F.embedding takes padding_idx − start.",
        ),
        Mutant(
            "table gathered",
            _table_gathered,
            "The vectors are right, but the whole table crossed the wire, and every rank had room for all of it. That "
            "is what the cut was to save. Sum the vectors instead: batch · seq · width numbers.",
            "the ledger: all_gather of the table, where one all_reduce of the result is due.",
        ),
        Mutant(
            "gradient summed over ranks",
            _gradient_summed,
            "The vectors are right, but you summed the table's gradient over the ranks. Row 0 of rank 0 and row 0 of "
            "rank 1 are different words: each rank's gradient is finished as it is.",
            "the backward pass of the table: no collective.",
        ),
    ),
)
