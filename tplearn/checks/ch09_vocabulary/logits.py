"""Exercise 09.3: soft-capped logits of a rank's own words, with minus infinity in the padding."""

import torch
from torch import Tensor

from tplearn.checks.ch09_vocabulary import head as step
from tplearn.checks.ch09_vocabulary.drive import cut_forward_and_gradient
from tplearn.checks.ch09_vocabulary.head import Head
from tplearn.checks.ch09_vocabulary.inputs import padded_shards, upstreams, words_of
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick, randn
from tplearn.parallel import copy_to_group
from tplearn.ranks import per_rank

SETTINGS = (
    (1, 5, 1),
    (1, 5, 4),
    (2, 11, 1),
    (2, 7, 6),
    (3, 131, 1),
    (3, 11, 5),
    (4, 5, 1),
    (4, 13, 4),
)  # tp, words, multiple


def parallel_logits(x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
    """x: [tokens, width]; weight_shard: [rows, width] → [tokens, rows], capped; −∞ where a row is no word."""
    return Head()(x, weight_shard, vocab_size, cap)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size, multiple in SETTINGS:
        rows, cap = words_of(vocab_size, 0, tp, multiple)[2], pick(generator, 2, 5) / 2
        x = randn(generator, 3, 4)
        shards = padded_shards(generator, randn(generator, vocab_size, 4), tp, 0, rows, None)
        upstream = upstreams(generator, 3, vocab_size, rows, tp)
        inputs = per_rank([(x, shard, vocab_size, cap) for shard in shards])
        cases.append(Case(tp, (inputs, per_rank(upstream)), label=f"{vocab_size} words, {rows} rows"))
    return cases


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
            Head(enter=lambda x: x),
            "The logits are right, but each rank keeps the gradient of x that its own words caused. x went to every "
            "rank, so its gradient is the sum over all of them.",
            "x, before the matmul: copy_to_group does nothing forward and all-reduces backward.",
        ),
        Mutant(
            "f twice",
            Head(enter=lambda x: copy_to_group(copy_to_group(x))),
            "x passes through f twice. The second all-reduce of the backward pass adds up p equal sums: x's gradient "
            "is p times too large.",
            "how often copy_to_group is called for one x: once.",
        ),
        Mutant(
            "f after the matmul",
            Head(enter=lambda x: x, end=lambda logits, vocab_size: copy_to_group(logits)),
            "Your f stands after the matmul. There it sums the gradients of different words, of which each belongs to "
            "one rank. What needs the sum is the gradient of x.",
            "the place of copy_to_group: on x.",
        ),
        Mutant(
            "mean for sum",
            Head(enter=step.mean_gradient),
            "x's gradient is the right one divided by p. The ranks' gradients come through other words each: they add "
            "up.",
            "the division in the backward pass.",
        ),
        Mutant(
            "the table's gradient summed",
            Head(weight=copy_to_group),
            "The logits are right, and you summed the table's gradient over the ranks. Row 0 of rank 0 and row 0 of "
            "rank 1 are different words: each rank's gradient is finished as it is.",
            "what passes through f: x, and x alone.",
        ),
        Mutant(
            "masked, then capped",
            Head(mask_first=True),
            "You put −∞ into the padding before you capped. tanh(−∞) is −1, so the padding's logit became −cap: as "
            "likely as the least likely word, and no longer impossible.",
            "the order: cap first, −∞ last.",
        ),
        Mutant(
            "no cap",
            Head(cap=lambda logits, cap: logits),
            "Your logits are not capped.",
            "cap · tanh(logits / cap).",
        ),
        Mutant(
            "clamped",
            Head(cap=lambda logits, cap: logits.clamp(-cap, cap)),
            "You clamped the logits. tanh bends them: cap · tanh(logits / cap) is smaller than the logit everywhere, "
            "and keeps a gradient everywhere.",
            "cap · tanh(logits / cap).",
        ),
        Mutant(
            "not divided by cap",
            Head(cap=lambda logits, cap: cap * torch.tanh(logits)),
            "You did not divide by cap before tanh. Small logits should stay as they are, and cap · tanh(z) is cap · "
            "z for a small z.",
            "cap · tanh(logits / cap).",
        ),
        Mutant(
            "not multiplied by cap",
            Head(cap=lambda logits, cap: torch.tanh(logits / cap)),
            "Your logits lie between −1 and 1: what tanh gives is multiplied by cap again.",
            "cap · tanh(logits / cap).",
        ),
        Mutant(  # before the next: on more ranks than one both leave all padding, but this one is right on one rank
            "local numbers for words",
            Head(padding=step.global_number),
            "You compared the columns of the shard with vocab_size. Column c of rank r is word start + c; within the "
            "shard there are stop − start words.",
            "torch.arange(rows) >= stop - start.",
        ),
        Mutant(
            "padded rows in the softmax",
            Head(padding=lambda vocab_size, rows: torch.zeros(rows, dtype=torch.bool)),
            "You left the padding as it came out of the matmul. In a softmax each of those numbers takes its share of "
            "the probability, and one of them may be sampled: a word that no tokenizer knows.",
            "the last columns of the last ranks: rows beyond stop − start.",
        ),
        Mutant(
            "zeros in the padding",
            Head(fill=0.0),
            "You wrote 0 into the padding. A logit of 0 is not a probability of 0: exp(0) = 1, so each row of padding "
            "adds 1 to the softmax's sum. Only minus infinity is nothing: exp(−∞) = 0.",
            "the number that you fill in.",
        ),
        Mutant(
            "the lowest number in the padding",
            Head(fill=torch.finfo(torch.float64).min),
            "You wrote the lowest finite number into the padding. −∞ is due, whose exp is 0 whatever finite number is "
            "subtracted first. The lowest number minus itself is 0, and exp(0) = 1: on a rank with nothing but padding "
            "that is what a softmax with its own maximum makes of it.",
            "the number that you fill in: −torch.inf.",
        ),
        Mutant(
            "padding on the last rank only",
            Head(padding=step.on_the_last_rank),
            "You looked for padding on the last rank alone. A short vocabulary ends earlier: with 5 words and 2 rows "
            "rank 2 of 4 has a row of padding, and rank 3 has nothing else.",
            "stop − start, rank by rank: where it is below rows there is padding.",
        ),
        Mutant(
            "padding cut off",
            Head(end=step.own_words_alone),
            "You cut the padding off, so that ranks differ in the number of their columns. Every rank returns rows "
            "columns, with −∞ in those that are no words.",
            "the shape of the result: [tokens, rows].",
        ),
        Mutant(
            "padding on every rank",
            Head(padding=step.last_of_every_rank),
            "You cut the same number of columns off on every rank. The padding stands at the end of the last ranks "
            "only; on the others you made true words impossible.",
            "stop − start, rank by rank: where it equals rows there is no padding.",
        ),
        Mutant(
            "rows by division",
            Head(padding=step.by_division),
            "You took ⌈words / p⌉ for the number of rows. The shard may have been padded to a multiple: it has "
            "len(weight_shard) rows, and the next rank's words begin after as many.",
            "the number of rows: weight_shard knows.",
        ),
        Mutant(
            "gathered logits",
            Head(end=step.gathered),
            "You gathered the logits. The biggest activation of the model crossed the wire and now lies whole on "
            "every rank. Return the columns of your own words.",
            "the ledger: forward there is nothing to send.",
        ),
    ),
)
