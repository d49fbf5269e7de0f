"""Exercise 07.5: predict the ledger of an MLP from where its f and its gather stand."""

from collections.abc import Callable

import torch

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick

FLOAT32 = 4
Rows = list[tuple[str, int]]
Answer = Callable[..., Rows]


def mlp_ledger(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    """(op, bytes) of rank 0, forward then backward, in float32. fs: how many f; gathered: the activations too."""
    if tp == 1:
        return []
    whole, shard = ("all_reduce", tokens * hidden * FLOAT32), ("all_gather", tokens * ffn // tp * FLOAT32)
    middle = [shard] if gathered else []
    return [*middle, whole, *middle, *[whole] * fs]


def _changed(change: Callable[[Rows, dict[str, int]], Rows]) -> Answer:
    """The right rows, changed, with the sizes at hand."""

    def answer(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
        sizes = dict(tokens=tokens, hidden=hidden, ffn=ffn, tp=tp, fs=fs)
        return change(mlp_ledger(tokens, hidden, ffn, tp, fs, gathered), sizes)

    return answer


def _all_reduces(size: Callable[[dict[str, int]], int]) -> Answer:
    return _changed(lambda rows, at: [(op, size(at) if op == "all_reduce" else bytes_) for op, bytes_ in rows])


def _gathers(size: Callable[[dict[str, int]], int]) -> Answer:
    return _changed(lambda rows, at: [(op, size(at) if op == "all_gather" else bytes_) for op, bytes_ in rows])


def _fs(count: int) -> Answer:
    def answer(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
        return mlp_ledger(tokens, hidden, ffn, tp, count, gathered)

    return answer


def _speaks_alone(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    whole, shard = ("all_reduce", tokens * hidden * FLOAT32), ("all_gather", tokens * ffn // tp * FLOAT32)
    middle = [shard] if gathered else []
    return [*middle, whole, *middle, *[whole] * fs]


def _gather_only_forward(rows: Rows, at: dict[str, int]) -> Rows:
    return [row for k, row in enumerate(rows) if k == 0 or row[0] != "all_gather"]


def _gather_backward_scatters(rows: Rows, at: dict[str, int]) -> Rows:
    return [("reduce_scatter", size) if k and op == "all_gather" else (op, size) for k, (op, size) in enumerate(rows)]


def _g_also_backward(rows: Rows, at: dict[str, int]) -> Rows:
    last = max((k for k, row in enumerate(rows) if row[0] == "all_reduce"), default=None)
    return rows if last is None else [*rows, ("all_reduce", at["tokens"] * at["hidden"] * FLOAT32)]


def _gather_last(rows: Rows, at: dict[str, int]) -> Rows:
    """Backward in the order of the forward: the f first, then the gather."""
    gathers = [row for row in rows if row[0] == "all_gather"]
    return [*gathers[:1], *(row for row in rows if row[0] == "all_reduce"), *gathers[1:]]


def _gather_after_g(rows: Rows, at: dict[str, int]) -> Rows:
    return [rows[1], rows[0], *rows[2:]] if rows and rows[0][0] == "all_gather" else rows


def _forward_only(rows: Rows, at: dict[str, int]) -> Rows:
    return rows[: 1 + (rows[0][0] == "all_gather")] if rows else rows


def _cases(generator: torch.Generator) -> list[Case]:
    """Sizes such that no two products of them agree; every setting at more than one tp."""

    def case(tp: int, fs: int, gathered: bool) -> Case:
        tokens, hidden, ffn = pick(generator, 2, 8), pick(generator, 3, 9, 5), pick(generator, 5, 9, 24)
        label = f"fs = {fs}, gathered = {gathered}"
        return Case(tp, (tokens, hidden, ffn, tp, fs, gathered), label=label)

    settings = [(fs, gathered) for fs in (0, 1, 2) for gathered in (False, True)]
    return [case(tp, *setting) for tp in (1, 2, 3, 4, 8) for setting in settings]


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
            _fs(1),
            "Your backward pass always has one all-reduce. It has one for each f: 2 where gate and up have one each, "
            "none where f is missing.",
            "the argument fs.",
        ),
        Mutant(
            "always two f",
            _fs(2),
            "Your backward pass always has two all-reduces. It has one for each f: 1 where gate and up share one, "
            "none where f is missing.",
            "the argument fs.",
        ),
        Mutant(
            "one rank speaks to itself",
            _speaks_alone,
            "On one rank your ledger is not empty. f, g and the gather send nothing where the group has one rank: "
            "what it has is whole already.",
            "tp = 1.",
        ),
        Mutant(
            "y is a shard",
            _all_reduces(lambda at: at["tokens"] * at["hidden"] // at["tp"] * FLOAT32),
            "You divided the all-reduce's bytes by tp. A row layer's partial has the full shape of y, however many "
            "ranks there are: tokens · hidden numbers.",
            "the size of what goes into g, and of dx.",
        ),
        Mutant(
            "a shard of the activations is summed",
            _all_reduces(lambda at: at["tokens"] * at["ffn"] // at["tp"] * FLOAT32),
            "Your all-reduces carry tokens · ffn / tp numbers, a shard of the activations. g stands after down and f "
            "before gate and up: what crosses there is y and dx, tokens · hidden.",
            "where g stands, and what shape the tensor has there.",
        ),
        Mutant(
            "the activations are summed",
            _all_reduces(lambda at: at["tokens"] * at["ffn"] * FLOAT32),
            "Your all-reduces carry tokens · ffn numbers. g stands after down and f before gate and up: what crosses "
            "there is y and dx, tokens · hidden.",
            "where g stands, and what shape the tensor has there.",
        ),
        Mutant(
            "the ring's bytes",
            _all_reduces(lambda at: at["tokens"] * at["hidden"] * 2 * (at["tp"] - 1) * FLOAT32 // at["tp"]),
            "Your all-reduces have the bytes that a ring sends, 2(p − 1)/p of the tensor. A ledger's bytes are those "
            "of the tensor that the rank contributes.",
            "what bytes means here: the size of the tensor.",
        ),
        Mutant(
            "a gather of everything",
            _gathers(lambda at: at["tokens"] * at["ffn"] * FLOAT32),
            "Your all-gather has the bytes of its result, tokens · ffn numbers. What a rank contributes is its own "
            "shard: tokens · ffn / tp.",
            "the size of what goes into the gather.",
        ),
        Mutant(
            "the shards of the others",
            _gathers(lambda at: at["tokens"] * at["ffn"] // at["tp"] * (at["tp"] - 1) * FLOAT32),
            "Your all-gather has the bytes that a ring sends: p − 1 shards. A ledger's bytes are those of the tensor "
            "that the rank contributes, one shard.",
            "what bytes means here: the size of the tensor.",
        ),
        Mutant(
            "a gather of hidden",
            _gathers(lambda at: at["tokens"] * at["hidden"] // at["tp"] * FLOAT32),
            "Your all-gather carries a shard of hidden. It stands between the activation and down, where a token has "
            "ffn numbers: tokens · ffn / tp on each rank.",
            "where the gather stands.",
        ),
        Mutant(
            "numbers for bytes",
            _changed(lambda rows, at: [(op, size // FLOAT32) for op, size in rows]),
            "You counted numbers. A float32 number has 4 bytes.",
            "the factor 4.",
        ),
        Mutant(
            "float64",
            _changed(lambda rows, at: [(op, 2 * size) for op, size in rows]),
            "You counted 8 bytes a number, as in the chapter's float64 runs. Here it is float32: 4 bytes.",
            "the factor 4.",
        ),
        Mutant(
            "gather only forward",
            _changed(_gather_only_forward),
            "Your gather costs nothing on the way back. The gathered tensor is cut again for down, and the backward "
            "of that cut is an all-gather: one forward, one backward.",
            "the backward of scatter_to_group.",
        ),
        Mutant(
            "a reduce-scatter on the way back",
            _changed(_gather_backward_scatters),
            "Your gather comes back as a reduce-scatter. On the way back it is the cut for down that sends: the "
            "backward of scatter_to_group is an all-gather. The backward of gather_from_group is a slice, and free.",
            "the backward of scatter_to_group.",
        ),
        Mutant(
            "g on the way back too",
            _changed(_g_also_backward),
            "Your backward pass has one all-reduce more than there are f. g sums on the way forward only; back "
            "through g the gradient goes as it is.",
            "the backward of reduce_from_group.",
        ),
        Mutant(
            "f before the gather on the way back",
            _changed(_gather_last),
            "Your backward pass runs in the order of the forward pass. It walks the other way: first through the cut "
            "before down, whose backward is the all-gather, then through f.",
            "the order on the way back.",
        ),
        Mutant(
            "g before the gather",
            _changed(_gather_after_g),
            "Forward, your all-reduce comes before the all-gather. The activations are gathered before down, and g "
            "comes after down.",
            "the order on the way forward.",
        ),
        Mutant(
            "forward only",
            _changed(_forward_only),
            "Your ledger ends with the forward pass. The backward pass sends too: a gather for the cut, an all-reduce "
            "for each f.",
            "the second half of the list.",
        ),
    ),
)
