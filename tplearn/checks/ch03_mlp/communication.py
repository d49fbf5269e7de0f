"""Exercise 03.5: what an MLP hands to its collectives, in bytes, before anything has run."""

from itertools import product

from torch import Generator

from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import pick


def mlp_communication_bytes(
    tokens: int, hidden: int, ffn: int, world_size: int, bytes_per_number: int, training: bool
) -> int:
    """Bytes that one rank hands to the all-reduces of one MLP: forward, and backward too when training."""
    return (2 if training else 1) * tokens * hidden * bytes_per_number


def communication_cases(generator: Generator) -> list[Case]:
    """Llama-like sizes on each tp, serving and training, in 1, 2 and 4 bytes a number."""
    cases = []
    for tp, training in product((1, 2, 4, 8), (False, True)):
        hidden = pick(generator, 2, 8, 1024)
        sizes = (pick(generator, 3, 60, 256), hidden, hidden + pick(generator, 2, 8, 1024))
        for width in (2, 4) if training else (1, 2):
            cases.append(Case(tp, (*sizes, tp, width, training), label="training" if training else "serving"))
    return cases


def _bill(
    tokens: int, hidden: int, ffn: int, world_size: int, bytes_per_number: int, training: bool, wrong: str
) -> float:
    """The bytes, with one thing `wrong`."""
    p, width = world_size, hidden
    if wrong in ("inner layer", "inner shard"):
        width = ffn // p if wrong == "inner shard" else ffn
    numbers = {
        "weights": hidden * ffn // p,
        "whole weights": hidden * ffn,
        "both": tokens * (hidden + ffn),
        "y and a shard": tokens * (hidden + ffn // p),
        "tokens only": tokens,
    }
    if wrong == "inner layer backward":
        return tokens * (hidden + (ffn if training else 0)) * bytes_per_number
    if wrong == "weight gradients too":
        return (tokens * hidden + training * (tokens * hidden + 2 * hidden * ffn // p)) * bytes_per_number
    each = numbers.get(wrong, tokens * width) * {"always 4": 4, "always 2": 2, "numbers": 1}.get(
        wrong, bytes_per_number
    )
    passes = {
        "backward forgotten": 1,
        "always training": 2,
        "twice": 4 if training else 2,
        "backward twice": 3 if training else 1,
        "training turned over": 1 if training else 2,
    }.get(wrong, 2 if training else 1)
    factor = {
        "divided by tp": 1 / p,
        "all ranks together": p,
        "sent in a ring": 2 * (p - 1) / p,
        "half a ring": (p - 1) / p,
        "to every other rank": p - 1,
        "nothing on one rank": float(p > 1),
        "bits": 8,
    }.get(wrong, 1)
    return passes * each * factor


MLP_COMMUNICATION_BYTES = Exercise(
    number="03.5",
    name="mlp_communication_bytes",
    points=5,
    difficulty=1,
    minutes=5,
    reference=mlp_communication_bytes,
    cases=communication_cases,
    mutants=mutants_of(
        _bill,
        (
            "inner layer",
            "You counted the inner layer, tokens × ffn. It never crosses: it is cut by column and consumed by row on "
            "the same rank. Only y, tokens × hidden, is summed. A wider ffn costs no communication.",
            "the shape of what enters the all-reduce.",
        ),
        (
            "inner shard",
            "You counted a rank's shard of the inner layer, tokens × ffn / tp. It never leaves its rank. What is "
            "summed is y, tokens × hidden.",
            "the shape of what enters the all-reduce.",
        ),
        (
            "both",
            "You counted the inner layer beside y. Only y is summed; the inner layer never leaves its rank.",
            "ffn.",
        ),
        (
            "y and a shard",
            "You counted a rank's shard of the inner layer beside y. Only y is summed; the shard never leaves its "
            "rank.",
            "the term with ffn.",
        ),
        (
            "inner layer backward",
            "You counted y forward and the inner layer backward. Backward it is dx that is summed, and dx has the "
            "shape of x: tokens × hidden.",
            "what the ranks hold partials of in the backward pass.",
        ),
        (
            "weight gradients too",
            "You counted the gradients of the weights in the backward pass. Data parallel copies sum those. Here each "
            "rank owns its shards, and their gradients stay with it: only dx is summed.",
            "the term with ffn.",
        ),
        ("whole weights", "You counted the weights, hidden × ffn. Weights stay where they are.", "what is summed."),
        ("weights", "You counted a rank's weights, hidden × ffn / tp. Weights stay where they are.", "what is summed."),
        ("tokens only", "You counted one number for each token. A token's row of y has `hidden` numbers.", "hidden."),
        (
            "divided by tp",
            "You divided by tp. A partial has the full shape of y on every rank: more ranks do not make it smaller. "
            "That is why communication sets the limit to tensor parallelism.",
            "the shape of one rank's partial.",
        ),
        (
            "sent in a ring",
            "That is what a rank sends when the all-reduce runs as a ring: 2(tp − 1)/tp times what it hands over. "
            "Asked is what it hands over, the size of the tensor.",
            "the factor with tp.",
        ),
        (
            "half a ring",
            "You counted (tp − 1)/tp of y. That is what a rank sends in half of a ring. Asked is what it hands over: "
            "all of its partial.",
            "the factor with tp.",
        ),
        (
            "to every other rank",
            "You counted the partial once for each other rank. Asked is what a rank hands to the all-reduce: its "
            "partial, once.",
            "the factor tp − 1.",
        ),
        (
            "nothing on one rank",
            "Right on several ranks; on one you return 0. One rank sends nothing, but it hands its y to the "
            "all-reduce all the same, and that is what is asked.",
            "world_size = 1.",
        ),
        (
            "all ranks together",
            "That is what all ranks hand over together. Asked is one rank's share.",
            "the factor world_size.",
        ),
        (
            "backward forgotten",
            "You counted the forward pass only. In training, dx is a sum over ranks too: one more all-reduce.",
            "the argument training.",
        ),
        (
            "always training",
            "You counted two passes always. Without training there is only the forward pass.",
            "the argument training.",
        ),
        ("training turned over", "You counted two passes when serving and one in training.", "the argument training."),
        (
            "backward twice",
            "You counted training as three passes. That is the rule for matmuls: backward has two for each one "
            "forward. But only one of the two leaves a partial, dx; a shard's own gradient needs no sum over ranks.",
            "how many all-reduces the backward pass has.",
        ),
        (
            "twice",
            "Your result is twice the right one. An MLP has one all-reduce forward, not one for each matmul; and what "
            "a rank hands over counts once, not again for what it gets back.",
            "the factor 2.",
        ),
        (
            "always 4",
            "You took 4 bytes for each number. That is float32; the exercise says how many there are.",
            "the argument bytes_per_number.",
        ),
        (
            "always 2",
            "You took 2 bytes for each number. That is bfloat16; the exercise says how many there are.",
            "bytes_per_number.",
        ),
        (
            "numbers",
            "That is how many numbers are summed, not how many bytes they take.",
            "the argument bytes_per_number.",
        ),
        ("bits", "Your result is 8 times the right one: you counted bits.", "the last factor."),
    ),
)
