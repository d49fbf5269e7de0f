"""Exercise 12.5: draw the next tokens at random, and the same ones on every rank, though each has luck of its own."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import forward


def agree_on_tokens(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """logits: [batch, vocab] → [batch] tokens, drawn by rank 0's generator, on every rank."""
    tokens = _drawn(logits / temperature, generator)
    dist.broadcast(tokens, src=0)
    return tokens


def _drawn(scaled: Tensor, generator: Generator) -> Tensor:
    return torch.multinomial(scaled.softmax(-1), 1, generator=generator).squeeze(-1)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, temperature in ((2, 0.7), (4, 1.3), (3, 2.0)):
        logits = torch.randn(12, 50, generator=generator, dtype=torch.float64)
        seed = int(torch.randint(2**30, (1,), generator=generator))
        cases.append(Case(tp, (logits, temperature, seed)))
    return cases


def with_own_luck(fn: Callable[..., Any], logits: Tensor, temperature: float, seed: int) -> dict[str, Any]:
    """Each rank has another generator."""
    luck = torch.Generator().manual_seed(seed + dist.get_rank())
    return forward(lambda x, t: fn(x, t, luck), logits, temperature)


def _each_its_own(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return _drawn(logits / temperature, generator)


def _largest(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    tokens = _drawn(logits / temperature, generator)
    dist.all_reduce(tokens, op=dist.ReduceOp.MAX)
    return tokens


def _logits_sent(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    logits = logits.clone()
    dist.broadcast(logits, src=0)
    return _drawn(logits / temperature, generator)


def _argmax(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return logits.argmax(-1)


def _multiplied(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return agree_on_tokens(logits, 1 / temperature, generator)


AGREE_ON_TOKENS = Exercise(
    number="12.5",
    name="agree_on_tokens",
    points=10,
    difficulty=2,
    minutes=8,
    reference=agree_on_tokens,
    cases=_cases,
    observe=with_own_luck,
    ranks=True,
    mutants=(
        Mutant(
            "a draw on every rank",
            _each_its_own,
            "Every rank drew for itself, with luck of its own. From the next step on the ranks compute parts of "
            "different texts and add them up; no collective complains (openai/gpt-oss#270). One rank draws, and tells "
            "the others.",
            "the ledger: a broadcast of the tokens from rank 0 is due.",
        ),
        Mutant(
            "the largest of the draws",
            _largest,
            "All ranks agree, on the largest index that any of them drew. That is no draw from the distribution any "
            "more: the more ranks, the more often words with a high number win.",
            "whose tokens are used: rank 0's, by broadcast.",
        ),
        Mutant(
            "logits sent, tokens not",
            _logits_sent,
            "You sent rank 0's logits around, which everybody had already, and then each rank drew by itself. What "
            "differs is the luck, and what must be sent is the result: one number a text instead of a vocabulary.",
            "what goes into the broadcast, and that it comes after the draw.",
        ),
        Mutant(
            "no draw at all",
            _argmax,
            "You took the likeliest word. That agrees on all ranks without a message, and it is greedy decoding: the "
            "temperature has no say, and the text is the same each time. Here a draw is asked for.",
            "torch.multinomial on rank 0.",
        ),
        Mutant(
            "temperature upside down",
            _multiplied,
            "You multiplied the logits by the temperature. They are divided by it: a low temperature makes differences "
            "larger and the draw surer, a high one makes it wilder.",
            "logits / temperature, before the softmax.",
        ),
    ),
)
