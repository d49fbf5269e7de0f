"""The draw of exercise 09.5, as steps of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch09_vocabulary.inputs import own_words
from tplearn.parallel import gather_from_group

Range = tuple[int, int]
Scores = Callable[[Tensor, Tensor, int, int], Tensor]
MIN, MAX, SUM = dist.ReduceOp.MIN, dist.ReduceOp.MAX, dist.ReduceOp.SUM


def reduced(x: Tensor, op: dist.ReduceOp.RedOpType) -> Tensor:
    """An all-reduce on a copy."""
    x = x.clone()
    dist.all_reduce(x, op=op)
    return x


def scores_with(combine: Callable[[Tensor, Tensor], Tensor]) -> Scores:
    """[tokens, rows]: logits and noise of the own words, combined; −∞ in the padding."""

    def answer(logits_shard: Tensor, noise: Tensor, start: int, stop: int) -> Tensor:
        scores = torch.full_like(logits_shard, -torch.inf)
        scores[:, : stop - start] = combine(logits_shard[:, : stop - start], noise[:, start:stop])
        return scores

    return answer


def padding_too(logits_shard: Tensor, noise: Tensor, start: int, stop: int) -> Tensor:
    """The padding takes part, without noise."""
    scores = logits_shard.clone()
    scores[:, : stop - start] += noise[:, start:stop]
    return scores


def first_columns(logits_shard: Tensor, noise: Tensor, start: int, stop: int) -> Tensor:
    """The first columns of the noise on every rank."""
    return scores_with(torch.add)(logits_shard, noise.roll(start, dims=1), start, stop)


class Draw(NamedTuple):
    """sample_word, step by step."""

    own_range: Callable[[int, int], Range] = own_words
    scores: Scores = scores_with(torch.add)
    name: Callable[[Tensor, int, int], Tensor] = lambda column, start, rows: column + start
    nobody: int | None = None  # what a rank proposes that has not the best; None: vocab_size
    decide: dist.ReduceOp.RedOpType = MIN
    best_of_all: Callable[[Tensor], Tensor] = lambda best: reduced(best, MAX)

    def __call__(self, logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
        """[tokens]."""
        rows = logits_shard.shape[1]
        start, stop = self.own_range(vocab_size, rows)
        best, column = self.scores(logits_shard, noise, start, stop).max(-1)
        nobody = vocab_size if self.nobody is None else self.nobody
        word = torch.where(best == self.best_of_all(best), self.name(column, start, rows), nobody)
        return reduced(word, self.decide)


def noise_on_the_best(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """Each rank's likeliest word, and noise for these alone."""

    def scores(logits: Tensor, noise: Tensor, start: int, stop: int) -> Tensor:
        plain = scores_with(lambda logits, noise: logits)(logits, noise, start, stop)
        elsewhere = torch.arange(logits.shape[1]) != plain.argmax(-1, keepdim=True)
        return scores_with(torch.add)(logits, noise, start, stop).masked_fill(elsewhere, -torch.inf)

    return Draw(scores=scores)(logits_shard, noise, vocab_size)


def own_word(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """The best of the rank's own words."""
    start, stop = own_words(vocab_size, logits_shard.shape[1])
    return scores_with(torch.add)(logits_shard, noise, start, stop).argmax(-1) + start


def of_rank_0(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """The best of rank 0's words, for everybody."""
    word = own_word(logits_shard, noise, vocab_size)
    dist.broadcast(word, src=0)
    return word


def gathered(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """All logits on every rank."""
    return (gather_from_group(logits_shard, -1)[:, :vocab_size] + noise).argmax(-1)


def decided_by_rank_0(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """The right word, and then once more from rank 0."""
    word = Draw()(logits_shard, noise, vocab_size)
    dist.broadcast(word, src=0)
    return word
