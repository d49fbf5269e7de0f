"""Exercise 03.5: what an MLP hands to its collectives, in bytes, before anything has run."""

import torch
from torch import Generator

from tplearn.checks.exercise import Case, Exercise, Mutant


def mlp_communication_bytes(
    tokens: int, hidden: int, ffn: int, world_size: int, bytes_per_number: int, training: bool
) -> int:
    """Bytes that one rank hands to the all-reduces of one MLP: forward, and backward too when training."""
    return (2 if training else 1) * tokens * hidden * bytes_per_number


def communication_cases(generator: Generator) -> list[Case]:
    """Llama-like sizes, serving and training, in 2 and 4 bytes a number."""
    cases = []
    for tp, width, training in ((2, 2, False), (4, 2, True), (8, 4, False), (8, 4, True)):
        tokens, hidden, ffn = torch.randint(1, 9, (3,), generator=generator).tolist()
        sizes = (512 * tokens, 1024 * hidden, 1024 * (hidden + ffn))
        cases.append(Case(tp, (*sizes, tp, width, training)))
    return cases


MLP_COMMUNICATION_BYTES = Exercise(
    number="03.5",
    name="mlp_communication_bytes",
    points=5,
    difficulty=1,
    minutes=5,
    reference=mlp_communication_bytes,
    cases=communication_cases,
    mutants=(
        Mutant(
            "the hidden layer crosses",
            lambda tokens, hidden, ffn, p, width, training: (2 if training else 1) * tokens * ffn * width,
            "You counted the hidden layer, tokens × ffn. It never crosses: it is cut by column and consumed by row on "
            "the same rank. Only y, tokens × hidden, is summed. A wider ffn costs no communication.",
            "the shape of what enters the all-reduce.",
        ),
        Mutant(
            "divided by tp",
            lambda tokens, hidden, ffn, p, width, training: (2 if training else 1) * tokens * hidden * width // p,
            "You divided by tp. A summand has the full shape of y on every rank: more ranks do not make it smaller. "
            "That is why communication sets the limit to tensor parallelism.",
            "the shape of one rank's summand.",
        ),
        Mutant(
            "backward forgotten",
            lambda tokens, hidden, ffn, p, width, training: tokens * hidden * width,
            "You counted the forward pass only. In training, dx is a sum over ranks too: one more all-reduce.",
            "the argument training.",
        ),
        Mutant(
            "two all-reduces forward",
            lambda tokens, hidden, ffn, p, width, training: (4 if training else 2) * tokens * hidden * width,
            "You counted one all-reduce for each matmul. Column then row needs one for both.",
            "what happens between the two matmuls.",
        ),
        Mutant(
            "always float32",
            lambda tokens, hidden, ffn, p, width, training: (2 if training else 1) * tokens * hidden * 4,
            "You took 4 bytes for each number. In bfloat16 it is 2.",
            "the argument bytes_per_number.",
        ),
        Mutant(
            "numbers, not bytes",
            lambda tokens, hidden, ffn, p, width, training: (2 if training else 1) * tokens * hidden,
            "That is how many numbers are summed, not how many bytes they take.",
            "the argument bytes_per_number.",
        ),
        Mutant(
            "all ranks together",
            lambda tokens, hidden, ffn, p, width, training: (2 if training else 1) * tokens * hidden * width * p,
            "That is what all ranks hand over together. Asked is one rank's share.",
            "the factor world_size.",
        ),
    ),
)
