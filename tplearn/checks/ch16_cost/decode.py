"""Exercise 16.4: the seconds of one decode step, by a roofline and the collectives."""

from torch import Generator

from tplearn.checks.ch01_why_split.inputs import kv_kinds, kv_label, shape_for
from tplearn.checks.ch16_cost.decode_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.planning.models import ModelShape

KINDS = {  # batch, tokens of context: what takes the time
    "weights read": (1, 7),
    "KV cache read": (3, 90_000),
    "weights and KV cache read": (16, 900),
    "matrix products": (4_000, 5),
}


def decode_seconds(
    shape: ModelShape,
    weight_bytes: int,
    tp: int,
    batch: int,
    context: int,
    bandwidth: float,
    peak: float,
    alpha: float,
    beta: float,
) -> float:
    """The longer of reading and computing, then 2 · layers all-reduces; each rank has its share of everything."""
    layers, kv_heads = shape.num_hidden_layers, max(1, shape.num_key_value_heads // tp)
    cache = 2 * layers * kv_heads * shape.head_dim * 2 * batch * context
    reading = (weight_bytes / tp + cache) / bandwidth
    computing = 2 * (weight_bytes / 2) * batch / tp / peak
    each = 0.0 if tp == 1 else alpha + 2 * (tp - 1) / tp * (batch * shape.hidden_size * 2) * beta
    return max(reading, computing) + 2 * layers * each


def _cases(generator: Generator) -> list[Case]:
    """Either side of the roofline, long context and short, KV heads cut and copied. Collectives always count."""
    cases = []
    for tp in (1, 2, 4):
        for kind, (batch, context) in KINDS.items():
            copied = (kv_kinds(tp)[1:] or [0])[0] if kind == "KV cache read" else 0
            shape = shape_for(generator, tp, copied=copied)
            batch, context = batch + pick(generator, 0, 2), context + pick(generator, 0, 5)
            token = 4 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim
            cached = {"weights read": 0.01, "KV cache read": 3.0, "matrix products": 0.3}.get(kind, 1.0)
            weights = round(token * batch * context / cached) // 24 * 24
            bandwidth, peak = pick(generator, 15, 45) * 1e11, pick(generator, 30, 99) * 1e13
            step = weights / bandwidth / (2 * shape.num_hidden_layers)  # what a collective is measured by
            alpha, beta = step * pick(generator, 11, 29) / 100, step / (batch * shape.hidden_size) / 10
            label = kind + (f", {kv_label(copied)}" if copied else "")
            arguments = (shape, weights, tp, batch, context, bandwidth, peak, alpha, beta)
            cases.append(Case(tp, arguments, label=label))
    return cases


DECODE_SECONDS = Exercise(
    number="16.4",
    name="decode_seconds",
    points=15,
    difficulty=2,
    minutes=16,
    reference=decode_seconds,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.planning.serving",),
)
