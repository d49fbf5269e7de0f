"""Exercise 01.4: how many sequences fit beside the weights, when all of them share one prompt."""

import math
from itertools import product

from torch import Generator

from tplearn.checks.ch01_why_split.inputs import SIZES, kv_kinds, kv_label, shape_for
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import pick
from tplearn.planning.memory import kv_cache_bytes, weight_bytes_per_rank
from tplearn.planning.models import ModelShape


def max_sequences(shape: ModelShape, tp: int, prompt: int, sequence: int, gpu_bytes: int, bytes_per_value: int) -> int:
    """The most sequences of `sequence` tokens after one shared prompt that tp ranks can serve at once."""
    weights = weight_bytes_per_rank(shape, tp, bytes_per_value)
    room = gpu_bytes - weights - kv_cache_bytes(shape, tp, 1, prompt, bytes_per_value)
    return max(0, room // kv_cache_bytes(shape, tp, 1, sequence, bytes_per_value))


ROOMS = (
    "room for a whole number",
    "one byte short of it",
    "a third more",
    "no room for the prompt",
    "no room for the weights",
)


def fit_cases(generator: Generator) -> list[Case]:
    """(shape, tp, prompt, sequence, gpu_bytes, bytes_per_value): every kind of room, KV heads cut and copied."""
    cases = []
    for tp in SIZES:
        for copied, room in product(kv_kinds(tp), ROOMS):
            shape, size = shape_for(generator, tp, copied=copied), pick(generator, 1, 4)
            sequence, prompt = pick(generator, 50, 99), pick(generator, 200, 300)
            weights = weight_bytes_per_rank(shape, tp, size)
            shared, own = (kv_cache_bytes(shape, tp, 1, tokens, size) for tokens in (prompt, sequence))
            full = weights + shared + pick(generator, 12, 30) * own
            gpu_bytes = dict(
                zip(ROOMS, (full, full - 1, full + own // 3, weights + shared // 2, weights // 2), strict=True)
            )[room]
            label = f"{kv_label(copied)}, {room}"
            cases.append(Case(tp, (shape, tp, prompt, sequence, gpu_bytes, size), label=label))
    return cases


def _fit(
    shape: ModelShape, tp: int, prompt: int, sequence: int, gpu_bytes: int, bytes_per_value: int, wrong: str
) -> float:
    """How many sequences fit, with one thing `wrong`."""
    weights = weight_bytes_per_rank(shape, 1 if wrong in ("weights whole", "pooled") else tp, bytes_per_value)
    cut = 1 if wrong in ("cache whole", "pooled") else tp
    each = 2 if wrong == "cache of 2 bytes" else bytes_per_value
    own = kv_cache_bytes(shape, cut, 1, sequence + (prompt if wrong == "prompt in each" else 0), each)
    shared = kv_cache_bytes(shape, 1 if wrong == "prompt whole" else cut, 1, prompt, each)
    if wrong in ("no prompt", "prompt in each"):
        shared = 0
    room = {
        "no weights": gpu_bytes - shared,
        "pooled": gpu_bytes * tp - weights - shared,
        "all GPUs, one cache": (gpu_bytes - weights) * tp - shared,
    }.get(wrong, gpu_bytes - weights - shared)
    number = {
        "rounded up": math.ceil(room / own),
        "rounded": round(room / own),
        "not whole": room / own,
        "negative, cut off": int(room / own),
    }.get(wrong, room // own)
    if wrong.startswith("negative") or (wrong == "prompt not tested" and gpu_bytes > weights):
        return number
    number = max(1 if wrong == "at least one" else 0, number)
    return {"all ranks": number * tp, "shared out": number // tp}.get(wrong, number)


MAX_SEQUENCES = Exercise(
    number="01.4",
    name="max_sequences",
    points=10,
    difficulty=2,
    minutes=13,
    reference=max_sequences,
    cases=fit_cases,
    mutants=mutants_of(
        _fit,
        (
            "all ranks",
            "You multiplied by tp. But the ranks of a group hold their heads of the same sequences.",
            "the last step.",
        ),
        (
            "shared out",
            "You divided the sequences by tp. But every rank works on all of them: it holds its heads of each.",
            "the last step.",
        ),
        (
            "pooled",
            "You added up the memory of all ranks and put one model into it. A rank uses its own memory only, and "
            "norms and copied KV heads are there on each of them.",
            "one rank: its GPU, its weights, its cache.",
        ),
        ("weights whole", "You put the whole model on every rank. A rank keeps its shards.", "tp in the weights."),
        (
            "cache whole",
            "You cut the weights but not the cache. A rank stores its own KV heads only.",
            "tp in the cache.",
        ),
        (
            "cache of 2 bytes",
            "You counted 2 bytes for each value of the cache. bytes_per_value says how many there are.",
            "bytes_per_value, in the cache.",
        ),
        (
            "prompt whole",
            "Every rank of yours stores the prompt for all KV heads. A rank needs it for its own.",
            "prompt.",
        ),
        ("no weights", "You gave the whole GPU to the cache. The weights are there first.", "the room that is left."),
        ("no prompt", "The prompt's own cache is missing. It is stored once, for all sequences together.", "prompt."),
        (
            "prompt in each",
            "You stored the prompt once for each sequence. All of them read the same one: it is stored once.",
            "which cache is multiplied by the number of sequences.",
        ),
        (
            "all GPUs, one cache",
            "You added up the room on all ranks and divided it by what a sequence takes on one of them. It takes that "
            "much on each: every rank holds its heads of every sequence.",
            "one rank: its GPU, its weights, its cache.",
        ),
        (
            "prompt not tested",
            "Where the weights fit and the prompt does not, you return a negative number. Nothing fits then: 0.",
            "the smallest number that can be returned.",
        ),
        (
            "negative, cut off",
            "You divided with / and cut off the rest, and where weights and prompt do not fit, that is a negative "
            "number. Nothing fits then: 0.",
            "a small GPU.",
        ),
        (
            "not whole",
            "Your number is a fraction. A sequence fits whole or not at all.",
            "how you divide: // instead of /.",
        ),
        (
            "negative",
            "Where weights and prompt do not fit, you return a negative number. Nothing fits then: 0.",
            "a small GPU.",
        ),
        (
            "at least one",
            "Where weights and prompt do not fit, you still serve one sequence. None fits: 0.",
            "a small GPU.",
        ),
        ("rounded up", "You rounded up. The last sequence does not fit whole.", "how you divide."),
        ("rounded", "You rounded to the nearest number. The last sequence must fit whole.", "how you divide."),
    ),
    ready=("tplearn.planning.memory.max_sequences",),
)
