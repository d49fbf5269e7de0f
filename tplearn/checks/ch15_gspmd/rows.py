"""Exercise 15.2: the collectives of a compiled program, read from its text."""

import math
import re

from torch import Generator

from tplearn.checks.ch15_gspmd import texts
from tplearn.checks.ch15_gspmd.rows_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise

BYTES = {"pred": 1, "bf16": 2, "f32": 4, "s32": 4, "f64": 8}
CALL = re.compile(r" = (\(.*?\)|\S+) (all-reduce|all-gather|reduce-scatter)\(")
TENSOR = re.compile(r"(\w+)\[([\d,]*)\]")


def read_ledger(hlo_text: str) -> list[tuple[str, int, int]]:
    """A row for each tensor of each call."""
    rows = []
    for line in hlo_text.splitlines():
        call = CALL.search(line)
        if not call:
            continue
        result, op = call.groups()
        p = _group_size(line)
        for dtype, shape in TENSOR.findall(result):
            size = BYTES[dtype] * math.prod(int(n) for n in shape.split(",") if n)
            given = {"all-gather": size // p, "reduce-scatter": size * p}.get(op, size)
            rows.append((op.replace("-", "_"), given, p))
    return rows


def _group_size(line: str) -> int:
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(listed[1].split(","))
    if short := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(short[1])
    axes, own = re.search(r"replica_groups=mesh\[(.*?)\].*? \{(.*?)\}", line).groups()
    sizes = dict(axis.split("=") for axis in axes.split(","))
    return math.prod(int(sizes[name]) for name in own.split(","))


def _cases(generator: Generator) -> list[Case]:
    kinds = (
        ("groups as lists", texts.one_each, 4),
        ("groups as lists", texts.one_each, 2),
        ("JAX's names on the left", texts.other_names, 4),
        ("several tensors combined", texts.combined, 4),
        ("single numbers and bits", texts.numbers_and_bits, 8),
        ("groups as [2,4]<=[8]", texts.short_groups, 4),
        ("groups as [4,2]<=[2,4]T(1,0)", texts.short_groups, 2),
        ("groups along an axis of a mesh", texts.mesh_groups, 2),
        ("groups along an axis of a mesh", texts.mesh_groups, 4),
        ("groups along two axes of a mesh", texts.two_axes, 4),
    )
    return [Case(p, (make(generator, p),), label=label) for label, make, p in kinds]


READ_LEDGER = Exercise(
    number="15.2",
    name="read_ledger",
    points=15,
    difficulty=2,
    minutes=20,
    reference=read_ledger,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.gspmd.hlo", "tplearn.gspmd.instructions", "tplearn.gspmd.replica_groups"),
)
