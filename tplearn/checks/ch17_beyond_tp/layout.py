"""Exercise 17.5: the ranks that share a group with a rank, for an ordered layout of any dimensions."""

from math import prod

from torch import Generator

from tplearn.checks.ch17_beyond_tp.drive import of_groups
from tplearn.checks.ch17_beyond_tp.layout_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

Layout = list[tuple[str, int]]


def ranks_of(names: list[str], rank: int, layout: Layout) -> list[int]:
    """As `DeviceMesh` counts: the last dimension varies fastest."""
    strides, stride = {}, 1
    for name, size in reversed(layout):
        strides[name] = stride, size
        stride *= size
    found = {rank}
    for name in names:
        stride, size = strides[name]
        first = {own - own // stride % size * stride for own in found}
        found = {own + k * stride for own in first for k in range(size)}
    return sorted(found)


LLAMA_3 = [("dp", 128), ("pp", 16), ("cp", 1), ("tp", 8)]  # its 16,384 GPUs (arXiv 2407.21783, table 4)
LAYOUTS = {
    "": ([("tp", 1)], [("dp", 2), ("tp", 2)], [("dp", 2), ("pp", 2), ("cp", 2), ("tp", 2)]),
    "sizes that differ": ([("pp", 2), ("dp", 3), ("tp", 4)], [("dp", 4), ("cp", 2), ("pp", 3), ("tp", 2)]),
    "tp on the outside": ([("tp", 2), ("pp", 3), ("dp", 4)],),
    "Llama 3's 16,384 GPUs": (LLAMA_3,),
}
SHOWN = 3  # ranks of a layout that are asked for


def _cases(generator: Generator) -> list[Case]:
    """Each dimension alone, and two or three together, in any order of their names."""
    cases = []
    for label, several in LAYOUTS.items():
        for layout in several:
            world, names = prod(size for _, size in layout), [name for name, _ in layout]
            ranks = sorted({pick(generator, world // 2, world - 1) for _ in range(SHOWN)} | {world - 1})
            together = [[names[-1], names[0]], ["cp", "dp"] if "cp" in names else names[1:]] if len(names) > 2 else []
            asked = [[name] for name in names] + [one for one in together if layout is not LLAMA_3 or "dp" not in one]
            cases.append(Case(world, (layout, ranks, asked), label=label))
    return cases


RANKS_OF = Exercise(
    number="17.5",
    name="ranks_of",
    points=10,
    difficulty=2,
    minutes=12,
    reference=ranks_of,
    cases=_cases,
    observe=of_groups,
    mutants=MUTANTS,
)
