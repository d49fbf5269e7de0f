"""Exercise 16.6: the largest tp that the link is fast enough for, and that cuts the model."""

from dataclasses import dataclass

from torch import Generator

from tplearn.checks.ch16_cost.largest_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_of, pick
from tplearn.planning.models import ModelShape


@dataclass(frozen=True)
class Kind:
    """A case: what decides, and sizes that make it decide. `limit` is F · W / C; `units` divide F and hidden_size."""

    label: str
    gpus: int
    limit: float
    heads: tuple[int, ...] = (64, 32)
    kv_heads: tuple[int, ...] = (8, 16)
    copies: bool = False
    units: tuple[int, int] = (48, 48)


KINDS = (
    Kind("the link decides", 16, 7.4),
    Kind("the link decides", 16, 5.6),
    Kind("the link decides", 16, 4.5),
    Kind("exactly at the limit", 16, 8.0),
    Kind("a slow link", 8, 0.6),
    Kind("the GPUs decide", 6, 14.0, copies=True),
    Kind("query heads decide", 8, 11.0, heads=(12, 20, 28), kv_heads=(4,), copies=True, units=(8, 48)),
    Kind("KV heads decide", 8, 13.0, kv_heads=(4,)),
    Kind("KV heads are copied", 8, 13.0, kv_heads=(4, 2), copies=True),
    Kind("KV heads that do not fit", 8, 12.0, heads=(24, 48), kv_heads=(6,), copies=True, units=(8, 16)),
    Kind("the MLP decides", 8, 12.0, copies=True, units=(4, 48)),
    Kind("no power of two", 8, 6.8, heads=(24, 48), kv_heads=(12,), units=(12, 48)),
)


def max_tp(shape: ModelShape, gpus: int, peak: float, link: float, copies: bool) -> int:
    """The largest tp up to gpus with tp ≤ intermediate · link / peak that cuts heads, KV heads and intermediate."""
    heads, kv_heads = shape.num_attention_heads, shape.num_key_value_heads
    for tp in range(gpus, 1, -1):
        kv_fits = kv_heads % tp == 0 or (copies and tp % kv_heads == 0)
        fits = heads % tp == 0 and kv_fits and shape.intermediate_size % tp == 0
        if fits and tp <= shape.intermediate_size * link / peak:
            return tp
    return 1


def _cases(generator: Generator) -> list[Case]:
    """One case for each thing that may decide."""
    cases = []
    for kind in KINDS:
        odd = 6 * pick(generator, 200, 400) + 1  # brings neither a 2 nor a 3
        width = kind.units[0] * odd
        shape = ModelShape(
            hidden_size=kind.units[1] * (6 * (odd * kind.units[0] // kind.units[1] // 24) + 1),  # about a quarter
            intermediate_size=width,
            num_hidden_layers=pick(generator, 16, 80),
            num_attention_heads=int(one_of(generator, kind.heads)),
            num_key_value_heads=int(one_of(generator, kind.kv_heads)),
            head_dim=pick(generator, 2, 4, 32),
            vocab_size=pick(generator, 250, 1000, 128),
        )
        link = 2.0 ** pick(generator, 36, 38)  # so that F · W / C is exact, in whatever order it is computed
        arguments = (shape, kind.gpus, width * link / kind.limit, link, kind.copies)
        cases.append(Case(kind.gpus, arguments, label=kind.label, mesh=(1, kind.gpus)))
    return cases


MAX_TP = Exercise(
    number="16.6",
    name="max_tp",
    points=10,
    difficulty=2,
    minutes=12,
    reference=max_tp,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.planning.memory.tp_sizes",),
)
