"""Exercise 09.1: which words a rank owns, and how many rows every rank has, padded to a multiple."""

import torch

from tplearn.checks.ch09_vocabulary import word_rules as rules
from tplearn.checks.ch09_vocabulary.drive import every_rank
from tplearn.checks.ch09_vocabulary.inputs import words_of
from tplearn.checks.ch09_vocabulary.word_rules import Words
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick


def words_of_rank(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    """(start, stop, rows): the words [start, stop) of `rank`, and the rows of every rank, padding included."""
    return words_of(vocab_size, rank, world_size, multiple)


def _cases(generator: torch.Generator) -> list[Case]:
    """For each tp: no padding at all, one row, many; ranks without words; multiples that rank 0 alone could fill."""
    cases = [Case(4, (size, 4, 1)) for size in (5, 2, 9)] + [Case(3, (pick(generator, 65, 99), 3, 64))]
    for tp in (1, 2, 3, 4):
        each, multiple = pick(generator, 20, 40), pick(generator, 3, 8)
        cases += [Case(tp, (tp * each, tp, 1)), Case(tp, (tp * each + 1, tp, 1)), Case(tp, (tp * each - 1, tp, 1))]
        cases += [Case(tp, (tp * multiple * 5, tp, multiple)), Case(tp, (tp * multiple * 5 + 1, tp, multiple))]
        cases += [Case(tp, (tp * multiple * 4 + multiple + 1, tp, multiple))]
    return cases


WORDS_OF_RANK = Exercise(
    number="09.1",
    name="words_of_rank",
    points=5,
    difficulty=1,
    minutes=8,
    reference=words_of_rank,
    cases=_cases,
    observe=every_rank,
    items="for rank {}".format,
    mutants=(
        Mutant(
            "multiple ignored",
            rules.by_rows(lambda words, p, multiple: -(-words // p)),
            "Your rows are ⌈words/p⌉, whatever multiple says. A rank's rows should be a multiple of it: round up once "
            "more.",
            "rows % multiple.",
        ),
        Mutant(
            "the vocabulary is padded, not the rows",
            rules.by_rows(lambda words, p, multiple: -(-rules.up(words, multiple) // p)),
            "You padded the vocabulary to a multiple and then cut it. It is the rows of each rank that must be a "
            "multiple: the whole vocabulary is then one of p · multiple.",
            "rows % multiple, on 2 ranks and more.",
        ),
        Mutant(
            "remainder dropped",
            rules.by_rows(lambda words, p, multiple: words // p // multiple * multiple),
            "You rounded down, so the last words belong to nobody. Looking one of them up gives a vector of zeros, "
            "and it can never be the next word.",
            "the division: it has to round up.",
        ),
        Mutant(
            "words divided, rounded down",
            rules.by_rows(lambda words, p, multiple: rules.up(words // p, multiple)),
            "You rounded words / p down before you rounded up to the multiple. Where words do not come out even, the "
            "last ones may belong to nobody.",
            "the first division: it has to round up.",
        ),
        Mutant(
            "always one more",
            rules.by_rows(lambda words, p, multiple: (words // (p * multiple) + 1) * multiple),
            "You add a whole block of padding where none is needed: x // n + 1 is ⌈x / n⌉, but where n divides x it "
            "is one more.",
            "sizes that come out even.",
        ),
        Mutant(
            "the last rank takes the rest",
            rules.last_takes_the_rest,
            "Every word has an owner, but the last rank has more rows than the others. Collectives want the same "
            "shape on every rank. Give all ranks the same number of rows, rounded up, and pad the last.",
            "rows must be the same number on every rank.",
        ),
        Mutant(
            "remainder spread over the first ranks",
            rules.spread,
            "You gave the first ranks one word more each, as torch.tensor_split does. Every word has an owner, but "
            "ranks differ in their number of rows. Fill the ranks up one after the other; the padding comes at the "
            "very end.",
            "start of rank r is r · rows, with one number of rows for all.",
        ),
        Mutant(
            "words dealt evenly, rows padded",
            rules.dealt_and_padded,
            "You dealt the words out evenly, as torch.tensor_split does, and padded the rows after that: ranks then "
            "have padding of their own, in the middle of the vocabulary. Fill the ranks up one after the other; the "
            "padding comes at the very end.",
            "start of rank r is r · rows.",
        ),
        Mutant(
            "words spread, rows padded",
            rules.spread_and_padded,
            "Your rows are right, but you shared the words out before you padded: every rank then has padding of its "
            "own, in the middle of the vocabulary. Fill the ranks up one after the other; the padding comes at the "
            "very end.",
            "start of rank r is r · rows.",
        ),
        Mutant(
            "padding counted as words",
            rules.padding_counted,
            "Your last ranks claim words that do not exist: stop is above vocab_size. Rows of padding would then "
            "count as words in the softmax.",
            "stop, on the last ranks: never beyond vocab_size.",
        ),
        Mutant(
            "start beyond the end",
            rules.start_beyond_the_end,
            "stop is right, but on a rank without words start is above it: such a rank owns minus some words, and "
            "rows − (stop − start) gives it more padding than it has rows.",
            "5 words on 4 ranks have 2 rows each: rank 3 starts and stops at 5.",
        ),
        Mutant(
            "zeros for a rank without words",
            rules.from_zero_to_zero,
            "A rank without words starts and stops at 0 in your answer, where the words of rank 0 are. Its range is "
            "empty too, but it lies at the end: start = stop = vocab_size.",
            "5 words on 4 ranks have 2 rows each: rank 3 starts and stops at 5.",
        ),
        Mutant(
            "own words for rows",
            rules.own_rows,
            "start and stop are right, and rows is how many words the rank has. It is how many rows its table has, "
            "padding included: the same on every rank.",
            "rows on the last ranks.",
        ),
        Mutant(
            "rows of all ranks",
            rules.all_rows,
            "start and stop are right, and rows is that of all ranks together. It is the number of one rank.",
            "rows.",
        ),
        Mutant(
            "the last word for the stop",
            rules.last_word,
            "Your second number is the rank's last word. It should be the one after it, as in a slice: stop.",
            "stop: start + the number of own words.",
        ),
    ),
    ready=("tplearn.parallel.words",),
)
