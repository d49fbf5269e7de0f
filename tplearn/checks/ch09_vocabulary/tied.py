"""Exercise 09.6: one table at both ends of a model, as in Gemma."""

from functools import partial

import torch

from tplearn.checks.ch09_vocabulary import tied_model as step
from tplearn.checks.ch09_vocabulary.head import Head, in_padding
from tplearn.checks.ch09_vocabulary.inputs import upstreams, words, words_of
from tplearn.checks.ch09_vocabulary.tied_model import TiedWith, TiedWords, TwoTables
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.checks.layers import layer_on_ranks
from tplearn.parallel import copy_to_group
from tplearn.ranks import per_rank


def _cases(generator: torch.Generator) -> list[Case]:
    """Words that no rank divides; words that come out even; fewer words than rows."""
    cases = []
    for tp, vocab_size in ((1, 5), (2, 11), (2, 8), (3, 11), (4, 5), (4, 9)):
        rows = words_of(vocab_size, 0, tp)[2]
        ids, upstream = words(generator, vocab_size, rows, tp, 6), upstreams(generator, 6, vocab_size, rows, tp)
        sizes = (vocab_size, 3, pick(generator, 2, 5) / 2)
        args = (sizes, (ids,), per_rank(upstream), pick(generator, 1, 10**6))
        cases.append(Case(tp, args, label=f"{vocab_size} words"))
    return cases


TIED_WORDS = Exercise(
    number="09.6",
    name="TiedWords",
    points=15,
    difficulty=2,
    minutes=12,
    reference=TiedWords,
    cases=_cases,
    observe=layer_on_ranks,
    ranks=True,
    mutants=(
        Mutant(
            "f missing",
            partial(TiedWith, head=Head(enter=lambda x: x)),
            "The logits are right. But the gradient of the embedded vectors is only that of this rank's words, so the "
            "table's gradient lacks what the other ranks' words would teach it.",
            "between the embedding and the head: copy_to_group, whose backward is an all-reduce.",
        ),
        Mutant(
            "f twice",
            partial(TiedWith, head=Head(enter=lambda x: copy_to_group(copy_to_group(x)))),
            "The logits are right. But the vectors pass through f twice: their gradient is summed, and the p equal "
            "sums are summed again.",
            "how often copy_to_group is called between embedding and head: once.",
        ),
        Mutant(
            "the head uses a copy",
            partial(TiedWith, head_table=lambda weight: weight.detach()),
            "The table learns from its use as embedding only: in the head you used a detached copy. Tied means one "
            "parameter, used twice, and a gradient that is the sum of both uses.",
            "the weight in the head: the parameter itself.",
        ),
        Mutant(
            "two tables",
            TwoTables,
            "You made two parameters with the same first values. Each gets its own part of the gradient, and an "
            "optimizer takes them for two: tied means one parameter, used twice.",
            "the parameters of the module: there should be one, called weight.",
        ),
        Mutant(
            "gradient summed over ranks",
            partial(TiedWith, table=copy_to_group),
            "You summed the table's gradient over the tp ranks. Embedding and head are cut by the same words, so both "
            "uses of a row happen on its owner, and autograd has already added them. Only between pipeline stages, "
            "where the two ends live on different ranks, is a sum due.",
            "the backward pass of the table: no collective.",
        ),
        Mutant(
            "same shard on every rank",
            partial(TiedWords, draw=step.own_size),
            "Every rank drew rows of its own from the state that all ranks share, so all ranks hold the same vectors: "
            "word 0 and the first word of rank 1 are twins. Draw the dense table on every rank, and keep your rows.",
            "the shape that is drawn: [vocab_size, width].",
        ),
        Mutant(
            "first rows on every rank",
            partial(TiedWords, draw=step.first_rows),
            "Every rank kept the first rows of the table. They belong to rank 0; yours begin at start.",
            "the rows that are kept: start to stop.",
        ),
        Mutant(
            "another seed on each rank",
            partial(TiedWords, draw=step.own_seed),
            "The ranks cut their rows from different tables. The model is a fair one, but not the dense one, and it "
            "changes with tp: nobody can compare the two.",
            "the random generator before the draw: all ranks must be in the same state.",
        ),
        Mutant(
            "no rows of padding",
            partial(TiedWords, draw=step.rows_without_padding),
            "Your table has as many rows as the rank has words. All ranks need the same number: rows of zeros fill it "
            "up.",
            "F.pad, with the rows that are missing.",
            alone=True,
        ),
        Mutant(
            "scaled at the start",
            partial(TiedWords, draw=step.small),
            "Your table was divided by √width when it was drawn. Here it is torch.randn(vocab_size, width) as it "
            "comes; √width enters in the forward pass.",
            "the first values of weight.",
        ),
        Mutant(
            "scaled table",
            partial(TiedWith, draw=step.large, scale=0.0),
            "Your table is multiplied by √width. The parameter is torch.randn(vocab_size, width) as it comes, and the "
            "head compares with it: only the vectors on their way in are multiplied by √width.",
            "the first values of weight.",
        ),
        Mutant(
            "the padding drawn too",
            partial(TiedWords, draw=step.padded_draw),
            "You drew the table with its padding, rows · p rows. The padding then holds random numbers, where zeros "
            "are due, and torch.randn of another size may give other numbers for the words too.",
            "the shape that is drawn: [vocab_size, width]; the padding is put on after that.",
        ),
        Mutant(
            "first values of a linear layer",
            partial(TiedWords, draw=step.uniform),
            "Your first values are those of nn.Linear. A table of words is drawn with torch.randn.",
            "the first values of weight.",
        ),
        Mutant(
            "not scaled",
            partial(TiedWith, scale=0.0),
            "The vectors go into the head as they were looked up. They are multiplied by √width on the way.",
            "between the embedding and the head.",
        ),
        Mutant(
            "scaled twice",
            partial(TiedWith, scale=1.0),
            "Your vectors times words are √width times too large: either you multiplied the vectors by width, or you "
            "scaled the table, which the head uses as well. Only the vectors on their way in are multiplied, by "
            "√width.",
            "the factor, and where it stands.",
        ),
        Mutant(
            "divided by √width",
            partial(TiedWith, scale=-0.5),
            "You divided the vectors by √width. They are multiplied by it.",
            "the factor.",
        ),
        Mutant(
            "no cap",
            partial(TiedWith, head=Head(cap=lambda logits, cap: logits)),
            "Your logits are not capped.",
            "parallel_logits(…, cap).",
        ),
        Mutant(
            "padding left",
            partial(TiedWith, head=Head(padding=lambda vocab_size, rows: in_padding(vocab_size, rows) & False)),
            "The padding's logits are 0, and exp(0) = 1: in the softmax padding counts as a word. −∞ belongs there.",
            "the last columns of the last ranks.",
        ),
    ),
)
