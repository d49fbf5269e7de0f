"""Exercise 15.1: the table of annotations, a PartitionSpec for each parameter of a Qwen2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch15_gspmd.drive import Axes, of_specs, plan_of_specs
from tplearn.checks.ch15_gspmd.specs_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

if TYPE_CHECKING:
    from jax.sharding import PartitionSpec


def partition_spec(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    """Rows, columns or nothing."""
    from jax.sharding import PartitionSpec as P

    if "norm" in name:
        return P()
    if "o_proj" in name or "down_proj" in name:
        return P(None, tp_axis)
    rows = kv_axis if "k_proj" in name or "v_proj" in name else tp_axis
    return P(rows) if name.endswith("bias") else P(rows, None)


def _cases(generator: Generator) -> list[Case]:
    return [
        Case(8, (pick(generator, 1, 10**6), "model", "model"), mesh=(2, 4)),
        Case(8, (pick(generator, 1, 10**6), ("kv", "copy"), "kv"), mesh=(1, 8)),
    ]


PARTITION_SPEC = Exercise(
    number="15.1",
    name="partition_spec",
    points=10,
    difficulty=1,
    minutes=10,
    reference=partition_spec,
    cases=_cases,
    observe=of_specs,
    timeout=20.0,
    jax=True,
    plan=plan_of_specs,
    unjudged=("placement",),
    mutants=MUTANTS,
    ready=("tplearn.gspmd.specs",),
)
