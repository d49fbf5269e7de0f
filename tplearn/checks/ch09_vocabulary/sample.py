"""Exercise 09.5: draw the next word, the same one on every rank, without gathering the logits."""

import torch
from torch import Tensor

from tplearn.checks.ch09_vocabulary import draw as step
from tplearn.checks.ch09_vocabulary.draw import Draw, scores_with
from tplearn.checks.ch09_vocabulary.inputs import padded_shards, words_of
from tplearn.checks.ch09_vocabulary.lookup import range_by_division
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.ranks import per_rank

# tp, words, multiple of the rows
SETTINGS = ((1, 5, 4), (2, 131, 1), (2, 9, 6), (3, 11, 1), (3, 11, 5), (4, 5, 1), (4, 13, 4))


def sample_word(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """logits_shard: [tokens, rows], anything in the padding; noise: [tokens, words], equal on all ranks → [tokens]."""
    return Draw()(logits_shard, noise, vocab_size)


def _cases(generator: torch.Generator) -> list[Case]:
    """Token 0 has a tie between the first two ranks; tokens 1 to 4 go to words that are not rank 0's, by luck alone.

    The last case is one such token alone.
    """
    cases = []
    for tp, vocab_size, multiple in SETTINGS:
        rows = words_of(vocab_size, 0, tp, multiple)[2]
        dense = randn(generator, 8, vocab_size)
        noise = -(-torch.rand(8, vocab_size, generator=generator, dtype=torch.float64).log()).log()  # Gumbel
        winners = torch.randint(min(rows, vocab_size - 1), vocab_size, (4,), generator=generator)
        noise[torch.arange(1, 5), winners] += 12
        noise[0], dense[0, [1, min(rows, vocab_size - 1)]] = 0, 9.0
        shards = padded_shards(generator, dense, tp, 1, rows, 30.0)  # whoever looks at the padding takes it
        cases.append(Case(tp, (per_rank(shards), noise, vocab_size), label=f"{vocab_size} words, {rows} rows"))
    one = (per_rank([shard[1:2] for shard in shards]), noise[1:2], vocab_size)
    return [*cases, Case(tp, one, label="one token")]


SAMPLE_WORD = Exercise(
    number="09.5",
    name="sample_word",
    points=15,
    difficulty=3,
    minutes=15,
    reference=sample_word,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "padded rows sampled",
            Draw(scores=step.padding_too),
            "You drew a word that does not exist: a row of padding had the largest number. No tokenizer can turn its "
            "number into text.",
            "the columns beyond stop − start: they must not take part.",
        ),
        Mutant(
            "local index",
            Draw(name=lambda column, start, rows: column),
            "You returned the column within a shard. Column 2 of rank 1 is word start + 2.",
            "the word that a rank proposes: column + start.",
        ),
        Mutant(
            "rows by division",
            Draw(own_range=range_by_division),
            "You took ⌈words / p⌉ for the number of rows. The shard may have been padded to a multiple: it has "
            "logits_shard.shape[1] rows, and the next rank's words begin after as many.",
            "the number of rows: logits_shard knows.",
        ),
        Mutant(
            "every rank its own word",
            step.own_word,
            "Each rank returns the best of its own words, so ranks go on with different texts. The next forward pass "
            "would sum partials of different sentences.",
            "the ranks have to compare their best: first the values, then the words.",
        ),
        Mutant(
            "rank 0's word",
            step.of_rank_0,
            "All ranks return the best of rank 0's words, and the words of the others can never be drawn.",
            "the ranks have to compare their best: first the values, then the words.",
        ),
        Mutant(
            "no noise",
            Draw(scores=scores_with(lambda logits, noise: logits)),
            "You took the most likely word. A draw adds the noise to the logits first.",
            "noise[:, start:stop].",
        ),
        Mutant(
            "noise on each rank's likeliest word",
            step.noise_on_the_best,
            "Each rank of yours takes its likeliest word first, and adds the noise to that one. A draw gives every "
            "word its noise before the largest is sought.",
            "the order: logits + noise, then max.",
        ),
        Mutant(
            "noise alone",
            Draw(scores=scores_with(lambda logits, noise: noise)),
            "You took the word with the largest noise: all words are equally likely then. It is added to the logits.",
            "logits + noise.",
        ),
        Mutant(
            "noise subtracted",
            Draw(scores=scores_with(torch.sub)),
            "You subtracted the noise. It is added to the logits.",
            "logits + noise.",
        ),
        Mutant(
            "noise on probabilities",
            Draw(scores=scores_with(lambda logits, noise: logits.softmax(-1) + noise)),
            "You added the noise to probabilities. Gumbel noise belongs on the logits; and a softmax over the rank's "
            "own words is none over all.",
            "logits + noise.",
        ),
        Mutant(
            "the same noise for different words",
            Draw(scores=step.first_columns),
            "Every rank used the first columns of the noise. Noise is given for the whole vocabulary, so word w needs "
            "column w; with yours, words on different ranks share their luck and the draw depends on tp.",
            "noise[:, start:stop].",
        ),
        Mutant(
            "gathered logits",
            step.gathered,
            "The words are right, but all logits crossed the wire for them. A rank's best value and its word are "
            "enough: two numbers for each token.",
            "the ledger: one all_gather of tokens · rows, where two all_reduce of [tokens] are due.",
        ),
        Mutant(
            "ties added up",
            Draw(nobody=0, decide=step.SUM),
            "Where two ranks have the same best value, both propose their word, and you added the two: a third word "
            "comes out. Take one of them, the smaller.",
            "the second all_reduce: MIN over the words, with vocab_size from ranks that have nothing to propose.",
        ),
        Mutant(
            "the larger word in a tie",
            Draw(nobody=-1, decide=step.MAX),
            "In a tie you take the larger word. The smaller one is due.",
            "the second all_reduce: MIN over the words, with vocab_size from ranks that have nothing to propose.",
        ),
        Mutant(
            "zero from those who have nothing",
            Draw(nobody=0),
            "Ranks that do not have the best propose word 0, and MIN takes it. They must propose something that no "
            "word reaches.",
            "the third argument of torch.where: vocab_size.",
        ),
        Mutant(
            "minus one from those who have nothing",
            Draw(nobody=-1),
            "Ranks that do not have the best propose −1, and MIN takes it. They must propose something that no word "
            "reaches.",
            "the third argument of torch.where: vocab_size.",
        ),
        Mutant(
            "the smallest word of all ranks",
            Draw(best_of_all=lambda best: best),
            "Every rank proposes its best word, whether it has the best value or not, and MIN takes the smallest. "
            "Compare the values first.",
            "which ranks propose a word: those whose best value is the best of all.",
        ),
        Mutant(
            "sent once more",
            step.decided_by_rank_0,
            "The words are right, and after the second all-reduce every rank has them: what rank 0 sends then is news "
            "to nobody.",
            "the ledger: two all_reduce of [tokens].",
        ),
    ),
)
