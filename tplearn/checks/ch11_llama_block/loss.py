"""Exercise 11.3: from the last block to one loss: norm, head, shift, and texts that end before their row does."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from tplearn.checks.ch11_llama_block.loss_mutants import MUTANTS
from tplearn.checks.ch11_llama_block.parts import HIDDEN, norm
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick, randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import copy_to_group, vocab_parallel_cross_entropy
from tplearn.ranks import per_rank


def next_word_loss(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head_shard: Tensor) -> Tensor:
    """x: [batch, seq, hidden]; ids: [batch, seq]; lengths: [batch]; head_shard: [words/p, hidden] → the mean loss."""
    logits = F.linear(copy_to_group(norm(x, norm_weight)), head_shard)
    is_last = torch.arange(ids.shape[1]) >= lengths[:, None] - 1  # the last word of a text and its padding
    return vocab_parallel_cross_entropy(logits, ids.roll(-1, 1).masked_fill(is_last, -100))


def _cases(generator: Generator) -> list[Case]:
    """Of five texts one fills its row, one is a single word, which predicts nothing, and the others end in between."""
    cases, seq = [], 9
    for tp in (1, 2, 3, 4):
        x, weight = randn(generator, 5, seq, HIDDEN), 1 + 0.5 * randn(generator, HIDDEN)
        words = pick(generator, 4, 7)
        ids = torch.randint(words * tp, (5, seq), generator=generator)
        lengths = torch.tensor([seq, 1, *(pick(generator, low, low + 1) for low in (3, 5, 7))])
        lengths = lengths[torch.randperm(5, generator=generator)]
        heads = one_each(tp, generator, words, HIDDEN)
        replicated = [per_rank([value.clone() for _ in range(tp)]) for value in (x, ids, lengths, weight)]
        cases.append(Case(tp, (*replicated, per_rank(heads))))
    return cases


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
    mutants=MUTANTS,
)
