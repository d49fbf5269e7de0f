"""Exercise 07.5: predict the ledger of an MLP from where its f and its gather stand."""

import torch

from tplearn.checks.ch07_mlp_on_gloo import ledger_rules as rules
from tplearn.checks.ch07_mlp_on_gloo.ledger_rules import mlp_ledger
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick


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
            rules.so_many_f(1),
            "Your backward pass always has one all-reduce. It has one for each f: 2 where gate and up have one each, "
            "none where f is missing.",
            "the argument fs.",
        ),
        Mutant(
            "always two f",
            rules.so_many_f(2),
            "Your backward pass always has two all-reduces. It has one for each f: 1 where gate and up share one, "
            "none where f is missing.",
            "the argument fs.",
        ),
        Mutant(
            "one rank speaks to itself",
            rules.also_alone,
            "On one rank your ledger is not empty. f, g and the gather send nothing where the group has one rank: "
            "what it has is whole already.",
            "tp = 1.",
        ),
        Mutant(
            "y is a shard",
            rules.all_reduces(lambda at: at["tokens"] * at["hidden"] // at["tp"] * rules.FLOAT32),
            "You divided the all-reduce's bytes by tp. A row layer's partial has the full shape of y, however many "
            "ranks there are: tokens · hidden numbers.",
            "the size of what goes into g, and of dx.",
        ),
        Mutant(
            "a shard of the activations is summed",
            rules.all_reduces(lambda at: at["tokens"] * at["ffn"] // at["tp"] * rules.FLOAT32),
            "Your all-reduces carry tokens · ffn / tp numbers, a shard of the activations. g stands after down and f "
            "before gate and up: what crosses there is y and dx, tokens · hidden.",
            "where g stands, and what shape the tensor has there.",
        ),
        Mutant(
            "the activations are summed",
            rules.all_reduces(lambda at: at["tokens"] * at["ffn"] * rules.FLOAT32),
            "Your all-reduces carry tokens · ffn numbers. g stands after down and f before gate and up: what crosses "
            "there is y and dx, tokens · hidden.",
            "where g stands, and what shape the tensor has there.",
        ),
        Mutant(
            "the ring's bytes",
            rules.all_reduces(lambda at: at["tokens"] * at["hidden"] * 2 * (at["tp"] - 1) * rules.FLOAT32 // at["tp"]),
            "Your all-reduces have the bytes that a ring sends, 2(p − 1)/p of the tensor. A ledger's bytes are those "
            "of the tensor that the rank contributes.",
            "what bytes means here: the size of the tensor.",
        ),
        Mutant(
            "a gather of everything",
            rules.gathers(lambda at: at["tokens"] * at["ffn"] * rules.FLOAT32),
            "Your all-gather has the bytes of its result, tokens · ffn numbers. What a rank contributes is its own "
            "shard: tokens · ffn / tp.",
            "the size of what goes into the gather.",
        ),
        Mutant(
            "the shards of the others",
            rules.gathers(lambda at: at["tokens"] * at["ffn"] // at["tp"] * (at["tp"] - 1) * rules.FLOAT32),
            "Your all-gather has the bytes that a ring sends: p − 1 shards. A ledger's bytes are those of the tensor "
            "that the rank contributes, one shard.",
            "what bytes means here: the size of the tensor.",
        ),
        Mutant(
            "a gather of hidden",
            rules.gathers(lambda at: at["tokens"] * at["hidden"] // at["tp"] * rules.FLOAT32),
            "Your all-gather carries a shard of hidden. It stands between the activation and down, where a token has "
            "ffn numbers: tokens · ffn / tp on each rank.",
            "where the gather stands.",
        ),
        Mutant(
            "a gather of hidden, whole",
            rules.gathers(lambda at: at["tokens"] * at["hidden"] * rules.FLOAT32),
            "Your all-gather carries tokens · hidden numbers. It stands between the activation and down, where a "
            "token has ffn numbers: tokens · ffn / tp on each rank.",
            "where the gather stands, and what this rank has of it.",
        ),
        Mutant(
            "numbers for bytes",
            rules.changed(lambda rows, at: [(op, size // rules.FLOAT32) for op, size in rows]),
            "You counted numbers. A float32 number has 4 bytes.",
            "the factor 4.",
        ),
        Mutant(
            "float64",
            rules.changed(lambda rows, at: [(op, 2 * size) for op, size in rows]),
            "You counted 8 bytes a number, as in the chapter's float64 runs. Here it is float32: 4 bytes.",
            "the factor 4.",
        ),
        Mutant(
            "gather only forward",
            rules.changed(rules.gather_only_forward),
            "Your gather costs nothing on the way back. The gathered tensor is cut again for down, and the backward "
            "of that cut is an all-gather: one forward, one backward.",
            "the backward of scatter_to_group.",
        ),
        Mutant(
            "a reduce-scatter on the way back",
            rules.changed(rules.gather_backward_scatters),
            "Your gather comes back as a reduce-scatter. On the way back it is the cut for down that sends: the "
            "backward of scatter_to_group is an all-gather. The backward of gather_from_group is a slice, and free.",
            "the backward of scatter_to_group.",
        ),
        Mutant(
            "g on the way back too",
            rules.changed(rules.g_also_backward),
            "Your backward pass has one all-reduce more than there are f. g sums on the way forward only; back "
            "through g the gradient goes as it is.",
            "the backward of reduce_from_group.",
        ),
        Mutant(
            "every sum in both directions",
            rules.changed(rules.both_directions),
            "You let f and g send in both directions. f sends on the way back only, g on the way forward only: one "
            "all-reduce forward, and one backward for each f.",
            "the forward of copy_to_group, and the backward of reduce_from_group.",
        ),
        Mutant(
            "f on the way forward",
            rules.changed(rules.f_forward),
            "Your f sends on the way forward. Forward it hands x on as it is; its all-reduce runs on the way back.",
            "the forward of copy_to_group.",
        ),
        Mutant(
            "f before the gather on the way back",
            rules.changed(rules.gather_last),
            "Your backward pass runs in the order of the forward pass. It walks the other way: first through the cut "
            "before down, whose backward is the all-gather, then through f.",
            "the order on the way back.",
        ),
        Mutant(
            "g before the gather",
            rules.changed(rules.gather_after_g),
            "Forward, your all-reduce comes before the all-gather. The activations are gathered before down, and g "
            "comes after down.",
            "the order on the way forward.",
        ),
        Mutant(
            "forward only",
            rules.changed(rules.forward_only),
            "Your ledger ends with the forward pass. The backward pass sends too: a gather for the cut, an all-reduce "
            "for each f.",
            "the second half of the list.",
        ),
    ),
)
