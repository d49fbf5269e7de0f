"""Exercise 10.5: the bytes of activations that one layer keeps on one rank, with and without sequence parallelism."""

import torch

from tplearn.checks.exercise import Case, Exercise, mutants_of

BETWEEN = 4  # values of [s, b, h]: two norm inputs, the inputs of QKV and of the MLP
INSIDE = 12  # Q, K, V, the projection's input; GeLU's input and output, four times as wide
MASKS = 2  # dropout masks: one byte each, whatever the values are


def activation_bytes(
    sequence: int, batch: int, hidden: int, tp: int, sequence_parallel: bool, bytes_per_value: int
) -> int:
    """Bytes of a GPT layer on a rank, without attention scores (Korthikanti et al. 2022, section 4)."""
    if sequence_parallel and sequence % tp:
        raise ValueError(f"sequence = {sequence} cannot be split over tp = {tp} ranks")
    return _count(sequence, batch, hidden, tp, sequence_parallel, bytes_per_value)


def _count(
    sequence: int, batch: int, hidden: int, tp: int, sequence_parallel: bool, bytes_per_value: int, wrong: str = ""
) -> int:
    """The same, with one thing `wrong`."""
    between = (BETWEEN - 2) * bytes_per_value if wrong == "norm inputs forgotten" else BETWEEN * bytes_per_value
    between += MASKS * (bytes_per_value if wrong == "masks as values" else 1)
    inside = INSIDE * bytes_per_value
    size = sequence * batch * hidden
    if wrong == "nothing refused" or not sequence_parallel or sequence % tp == 0:
        if wrong == "tp cuts all" or (sequence_parallel and wrong != "sequence parallel ignored"):
            gathered = 2 * bytes_per_value if wrong == "gathered inputs kept" else 0
            return size * (between + inside - gathered) // tp + size * gathered
        return size * between + size * inside // tp
    raise ValueError(f"sequence = {sequence} cannot be split over tp = {tp} ranks")


def _cases(generator: torch.Generator) -> list[Case]:
    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    cases = []
    for tp in (1, 2, 4, 8):
        for sequence_parallel in (False, True):
            for size in (2, 4):
                sizes = (8 * pick(2, 9), pick(1, 5), 16 * pick(2, 9))
                cases.append(Case(tp, (*sizes, tp, sequence_parallel, size)))
    return [*cases, Case(4, (8 * pick(2, 9) + 2, 2, 64, 4, True, 2)), Case(4, (8 * pick(2, 9) + 2, 2, 64, 4, False, 2))]


ACTIVATION_BYTES = Exercise(
    number="10.5",
    name="activation_bytes",
    points=10,
    difficulty=2,
    minutes=10,
    reference=activation_bytes,
    cases=_cases,
    mutants=mutants_of(
        _count,
        (
            "tp cuts all",
            "You divided everything by tp, with sequence parallelism or without. Tensor parallelism alone cuts what "
            "lies between a column and a row cut; norms, dropouts and the inputs of QKV and MLP stay whole.",
            "sequence_parallel = False: two groups of tensors, and only one is divided.",
        ),
        (
            "sequence parallel ignored",
            "Your answer is that of tensor parallelism, in both cases. With sequence parallelism norms, dropouts and "
            "the inputs of QKV and MLP are cut too, by tokens.",
            "sequence_parallel = True.",
        ),
        (
            "gathered inputs kept",
            "You let every rank keep the gathered inputs of QKV and MLP: sbh(4 + 30/t). That is what a plain "
            "gather does. The 34/t of the paper keeps the shard and gathers again in the backward pass.",
            "sequence_parallel = True: the inputs of QKV and MLP count as shards.",
        ),
        (
            "masks as values",
            "You gave each number of a dropout mask the size of a value. A mask says kept or dropped: one byte, "
            "whatever the values are.",
            "the two dropout masks: 1 · sbh each.",
        ),
        (
            "norm inputs forgotten",
            "The inputs of the two norms are missing. A norm's backward pass needs its input, and no other layer "
            "keeps that tensor.",
            "two tensors of s · b · h values, outside the cut.",
        ),
        (
            "nothing refused",
            "With sequence parallelism a sequence that does not divide by tp has no equal shards. You returned a "
            "number for it.",
            "sequence % tp with sequence_parallel: raise a ValueError that names both.",
        ),
    ),
)
