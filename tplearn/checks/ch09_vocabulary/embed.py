"""Exercise 09.2: look words up in a table that is cut by words."""

import torch
from torch import Tensor

from tplearn.checks.ch09_vocabulary import lookup as step
from tplearn.checks.ch09_vocabulary.inputs import padded_shards, words, words_of
from tplearn.checks.ch09_vocabulary.lookup import Lookup
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import reduce_from_group
from tplearn.ranks import per_rank

# tp, words, multiple, padding_idx: the first word, one of another rank, none; a rank without words, many padded rows.
SETTINGS = (
    (1, 5, 1, 2),
    (1, 5, 4, None),
    (2, 131, 1, 1),
    (2, 7, 6, 0),
    (3, 131, 1, 47),
    (3, 11, 5, None),
    (4, 5, 1, 2),
    (4, 9, 2, 0),
    (4, 130, 16, 50),
)


def embed_words(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """ids: [batch, seq]; weight_shard: [rows, width] → [batch, seq, width], the same on every rank."""
    return Lookup()(ids, weight_shard, vocab_size, padding_idx)


def _cases(generator: torch.Generator) -> list[Case]:
    """Among the ids are the padding word and, on a second rank, the word in the row of the same number."""
    cases = []
    for tp, vocab_size, multiple, padding_idx in SETTINGS:
        rows = words_of(vocab_size, 0, tp, multiple)[2]
        ids = words(generator, vocab_size, rows, tp, 2, 5)
        ids[1, 3:] = torch.tensor([padding_idx or 0, min(rows + (padding_idx or 0) % rows, vocab_size - 1)])
        shards = padded_shards(generator, randn(generator, vocab_size, 3), tp, 0, rows, None)
        label = f"{vocab_size} words, {rows} rows, padding_idx = {padding_idx}"
        cases.append(Case(tp, (ids, per_rank(shards), vocab_size, padding_idx), label=label))
    return cases


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
            Lookup(index=lambda own, elsewhere, rows: own.clamp(0, rows - 1), mask=lambda vectors, elsewhere: vectors),
            "Every rank looks something up for every id. For words of other ranks you pushed the index into the "
            "shard, and the row that you found there was added to the sum: one right vector and p − 1 wrong ones. On "
            "one rank no word is elsewhere, so it looks right.",
            "the vector where the word belongs to another rank: it must be zero.",
        ),
        Mutant(
            "row 0 for foreign ids",
            Lookup(mask=lambda vectors, elsewhere: vectors),
            "For words of other ranks you looked up your row 0, and left its vector in the sum. Any row will do for "
            "the lookup, but what it gives must be overwritten with zeros.",
            "the vector where the word belongs to another rank: it must be zero.",
        ),
        Mutant(
            "the index wraps around",
            Lookup(index=step.by_remainder, mask=lambda vectors, elsewhere: vectors),
            "For words of other ranks your index wraps around, into some row of the shard, and that row's vector was "
            "added to the sum. It must be zero.",
            "which ids are this rank's own.",
        ),
        Mutant(
            "one word too many",
            Lookup(
                elsewhere=lambda ids, start, stop: (ids < start) | (ids > stop),
                index=lambda own, elsewhere, rows: own.masked_fill(elsewhere, 0).clamp(max=rows - 1),
            ),
            "Your rank takes the word `stop` for its own. stop is the first word of the next rank: start ≤ word < "
            "stop.",
            "ids >= stop.",
        ),
        Mutant(
            "rows by division",
            Lookup(own_range=step.range_by_division, index=lambda own, away, rows: own.masked_fill(away, 0)),
            "You took ⌈words / p⌉ for the number of rows. The shard may have been padded to a multiple: it has "
            "len(weight_shard) rows, and the next rank's words begin after as many.",
            "the number of rows: weight_shard knows.",
        ),
        Mutant(
            "padding_idx taken as a local index",
            Lookup(padding=step.taken_as_local),
            "padding_idx is a word of the whole vocabulary, and you handed it to every shard as it is. Each rank then "
            "stops the gradient of its own row with that number, so words that are not padding never learn; and where "
            "a shard has no such row, F.embedding raises.",
            "the owner of padding_idx subtracts its start; all other ranks pass None.",
        ),
        Mutant(
            "padding_idx on every rank",
            step.on_every_rank,
            "The owner of padding_idx has the right row. But every other rank stops the gradient of its own row of "
            "that number too, and that is another word.",
            "padding_idx on the ranks that do not own it: None.",
        ),
        Mutant(
            "start not subtracted from padding_idx",
            Lookup(padding=step.not_subtracted),
            "The owner of padding_idx passed it on as it is. F.embedding counts rows of the shard: padding_idx − "
            "start.",
            "padding_idx − start, on its owner.",
            alone=True,
        ),
        Mutant(
            "padding learns",
            Lookup(padding=lambda padding_idx, start, stop: None),
            "The vectors are right, but padding_idx gets a gradient. Nothing should be learnt from filler words.",
            "padding_idx: on the rank that owns it, F.embedding takes padding_idx − start.",
        ),
        Mutant(
            "padding word 0 learns",
            Lookup(padding=step.zero_forgotten),
            "padding_idx = 0 is taken for no padding_idx: `if padding_idx` is False for None and for 0.",
            "padding_idx is not None.",
        ),
        Mutant(
            "padding is zero",
            step.padding_zeroed,
            "You made the padding word's vector zero. padding_idx stops its gradient; its row is looked up like any "
            "other.",
            "the vectors at padding_idx.",
        ),
        Mutant(
            "never summed",
            Lookup(end=lambda vectors: vectors),
            "Each rank has the vectors of its own words, and zeros for the rest: a partial. Their sum is due on every "
            "rank.",
            "the end: reduce_from_group.",
        ),
        Mutant(
            "mean for sum",
            Lookup(end=step.mean),
            "Your vectors are the right ones divided by p. One rank has the vector and the others have zeros: that is "
            "a sum, not a mean.",
            "the division.",
        ),
        Mutant(
            "maximum for sum",
            Lookup(end=step.largest),
            "You took the maximum over the ranks. A vector has negative numbers, and next to these the others' zeros "
            "are larger.",
            "the reduce op: SUM.",
        ),
        Mutant(
            "table gathered",
            step.gathered,
            "The vectors are right, but the whole table crossed the wire, and every rank had room for all of it. That "
            "is what the cut was to save. Sum the vectors instead: batch · seq · width numbers.",
            "the ledger: all_gather of the table, where one all_reduce of the result is due.",
        ),
        Mutant(
            "gradient summed over ranks",
            Lookup(table=step.summed_table),
            "The vectors are right, but you summed the table's gradient over the ranks. Row 0 of rank 0 and row 0 of "
            "rank 1 are different words: each rank's gradient is finished as it is.",
            "the backward pass of the table: no collective.",
        ),
        Mutant(
            "f after g",
            Lookup(end=lambda vectors: step.copy_to_group(reduce_from_group(vectors))),
            "The vectors are right, and their gradient is summed over the ranks: p times too large. Every rank has "
            "the whole gradient of the result already.",
            "what comes after reduce_from_group: nothing.",
        ),
    ),
)
