"""Exercise 07.5: predict the ledger of an MLP from where its f and its gather stand."""

import torch

from tplearn.checks.exercise import Case, Exercise, Mutant

FLOAT32 = 4
Rows = list[tuple[str, int]]


def mlp_ledger(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    """(op, bytes) of rank 0, forward then backward, in float32. fs: how many f; gathered: the hidden layer too."""
    if tp == 1:
        return []
    whole, piece = ("all_reduce", tokens * hidden * FLOAT32), ("all_gather", tokens * ffn // tp * FLOAT32)
    middle = [piece] if gathered else []
    return [*middle, whole, *middle, *[whole] * fs]


def _one_f_always(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    return mlp_ledger(tokens, hidden, ffn, tp, 1, gathered)


def _speaks_alone(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    if tp > 1:
        return mlp_ledger(tokens, hidden, ffn, tp, fs, gathered)
    whole, piece = ("all_reduce", tokens * hidden * FLOAT32), ("all_gather", tokens * ffn * FLOAT32)
    middle = [piece] if gathered else []
    return [*middle, whole, *middle, *[whole] * fs]


def _shard_of_y(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    rows = mlp_ledger(tokens, hidden, ffn, tp, fs, gathered)
    return [(op, size // tp if op == "all_reduce" else size) for op, size in rows]


def _hidden_layer(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    rows = mlp_ledger(tokens, hidden, ffn, tp, fs, gathered)
    return [(op, tokens * ffn // tp * FLOAT32) for op, _ in rows]


def _gather_only_forward(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    rows = mlp_ledger(tokens, hidden, ffn, tp, fs, gathered)
    return [row for k, row in enumerate(rows) if k == 0 or row[0] != "all_gather"]


def _cases(generator: torch.Generator) -> list[Case]:
    def case(tp: int, fs: int, gathered: bool) -> Case:
        tokens, hidden, ffn = (int(torch.randint(2, 9, (), generator=generator)) for _ in range(3))
        return Case(tp, (tokens, 4 * hidden, 48 * ffn, tp, fs, gathered))  # ffn > hidden: their sizes never agree

    settings = ((1, 1, True), (2, 1, False), (2, 2, True), (4, 2, False), (4, 0, False), (8, 1, True))
    return [case(*setting) for setting in settings]


MLP_LEDGER = Exercise(
    number="07.5",
    name="mlp_ledger",
    points=10,
    difficulty=1,
    minutes=8,
    reference=mlp_ledger,
    cases=_cases,
    mutants=(
        Mutant(
            "always one f",
            _one_f_always,
            "Your backward pass always has one all-reduce. It has one for each f: 2 where gate and up have one each, "
            "none where f is missing.",
            "the argument fs.",
        ),
        Mutant(
            "one rank speaks to itself",
            _speaks_alone,
            "On one rank your ledger is not empty. f, g and the gather send nothing where the group has one rank: "
            "a part is already the whole.",
            "tp = 1.",
        ),
        Mutant(
            "y is a shard",
            _shard_of_y,
            "You divided the all-reduce's bytes by tp. A row layer's summand has the full shape of y, however many "
            "ranks there are: tokens · hidden numbers.",
            "the size of what goes into g, and of dx.",
        ),
        Mutant(
            "the hidden layer is summed",
            _hidden_layer,
            "Your all-reduces carry the hidden layer's piece, tokens · ffn / tp. g stands after down and f before "
            "gate and up: what crosses there is y and dx, tokens · hidden.",
            "where g stands, and what shape the tensor has there.",
        ),
        Mutant(
            "gather only forward",
            _gather_only_forward,
            "Your gather costs nothing on the way back. The gathered tensor is cut again for down, and the backward "
            "of that cut is an all-gather: one forward, one backward.",
            "the backward of scatter_to_group.",
        ),
    ),
)
