"""Exercise 09.6: one table at both ends of a model."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.embed import embed_words
from tplearn.checks.ch09_vocabulary.inputs import is_padding, own_range, words
from tplearn.checks.ch09_vocabulary.logits import parallel_logits
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.layers import layer_on_ranks
from tplearn.parallel import copy_to_group
from tplearn.ranks import per_rank


class TiedWords(nn.Module):
    """The smallest language model: look a word up, compare the vector with every word of the same table.

    weight: [rows, width], this rank's rows of a dense table that every rank draws alike, zeros in the padding.
    """

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        start, stop, rows = own_range(vocab_size)
        own = torch.randn(vocab_size, width)[start:stop]
        self.vocab_size = vocab_size
        self.weight = nn.Parameter(F.pad(own, (0, 0, 0, rows - (stop - start))))

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [tokens] → [tokens, rows], −∞ in the padding."""
        return self.logits(embed_words(ids, self.weight, self.vocab_size, None))

    def logits(self, x: Tensor) -> Tensor:
        """x: [tokens, width] → [tokens, rows]."""
        return parallel_logits(x, self.weight, self.vocab_size)


class _FMissing(TiedWords):
    def logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight).masked_fill(is_padding(self.vocab_size), -torch.inf)


class _HeadIsACopy(TiedWords):
    def logits(self, x: Tensor) -> Tensor:
        return parallel_logits(x, self.weight.detach(), self.vocab_size)


class _TwoTables(TiedWords):
    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__(vocab_size, width)
        self.head = nn.Parameter(self.weight.detach().clone())

    def logits(self, x: Tensor) -> Tensor:
        return parallel_logits(x, self.head, self.vocab_size)


class _GradientSummed(TiedWords):
    def forward(self, ids: Tensor) -> Tensor:
        table = copy_to_group(self.weight)
        return parallel_logits(embed_words(ids, table, self.vocab_size, None), table, self.vocab_size)


class _SameShards(TiedWords):
    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__(vocab_size, width)
        torch.manual_seed(0)
        start, stop, rows = own_range(vocab_size)
        own = torch.randn(rows, width)[: stop - start]
        self.weight = nn.Parameter(F.pad(own, (0, 0, 0, rows - (stop - start))))


class _AnotherSeed(TiedWords):
    def __init__(self, vocab_size: int, width: int) -> None:
        torch.manual_seed(dist.get_rank())
        super().__init__(vocab_size, width)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size in ((1, 5), (2, 11), (3, 11), (4, 5)):
        ids, rows = words(generator, vocab_size, tp, 6), -(-vocab_size // tp)
        upstream = [randn(generator, 6, rows) for _ in range(tp)]
        cases.append(Case(tp, ((vocab_size, 3), (ids,), per_rank(upstream))))
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
            _FMissing,
            "The logits are right. But the gradient of the embedded vectors is only that of this rank's words, so the "
            "table's gradient lacks what the other ranks' words would teach it.",
            "between the embedding and the head: copy_to_group, whose backward is an all-reduce.",
        ),
        Mutant(
            "the head uses a copy",
            _HeadIsACopy,
            "The table learns from its use as embedding only: in the head you used a detached copy. Tied means one "
            "parameter, used twice, and a gradient that is the sum of both uses.",
            "the weight in the head: the parameter itself.",
        ),
        Mutant(
            "two tables",
            _TwoTables,
            "You made two parameters with the same first values. After one optimizer step they differ, and the memory "
            "of a whole table is gone.",
            "the parameters of the module: there should be one, called weight.",
        ),
        Mutant(
            "gradient summed over ranks",
            _GradientSummed,
            "You summed the table's gradient over the tp ranks. Embedding and head are cut by the same words, so both "
            "uses of a row happen on its owner, and autograd has already added them. Only between pipeline stages, "
            "where the two ends live on different ranks, is a sum due.",
            "the backward pass of the table: no collective.",
        ),
        Mutant(
            "same shard on every rank",
            _SameShards,
            "Every rank drew its own rows with the same seed, so all ranks hold the same vectors: word 0 and the first "
            "word of rank 1 are twins. Draw the dense table on every rank, and keep your rows.",
            "the shape that is drawn: [vocab_size, width].",
        ),
        Mutant(
            "another seed on each rank",
            _AnotherSeed,
            "The ranks cut their rows from different tables. The model is a fair one, but not the dense one, and it "
            "changes with tp: nobody can compare the two.",
            "the random generator before the draw: all ranks must be in the same state.",
        ),
    ),
)
