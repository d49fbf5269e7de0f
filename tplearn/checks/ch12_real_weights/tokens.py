"""Exercise 12.5: draw the next tokens at random, the same on every rank, though each has a generator of its own."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.drive import with_own_generator
from tplearn.checks.ch12_real_weights.tokens_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn


def agree_on_tokens(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """logits: [batch, vocab] → [batch] tokens, drawn by rank 0's generator, on every rank."""
    tokens = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator).squeeze(-1)
    dist.broadcast(tokens, src=0)
    return tokens


def _cases(generator: Generator) -> list[Case]:
    """Many texts, so that no two ways to draw agree by chance; and one alone."""
    cases = []
    for tp, temperature, batch in ((1, 0.7, 33), (2, 0.7, 30), (2, 1.0, 1), (3, 2.0, 35), (4, 1.3, 40)):
        logits, seed = randn(generator, batch, 50), pick(generator, 0, 2**30)
        cases.append(Case(tp, (logits, temperature, seed), label="" if batch > 1 else "one text"))
    return cases


AGREE_ON_TOKENS = Exercise(
    number="12.5",
    name="agree_on_tokens",
    points=10,
    difficulty=2,
    minutes=8,
    reference=agree_on_tokens,
    cases=_cases,
    observe=with_own_generator,
    ranks=True,
    mutants=MUTANTS,
)
