"""Exercise 16.8: how many ranks for TP, PP and DP, from what fits; a broken version is mended."""

import math
from dataclasses import dataclass

from torch import Generator

from tplearn.checks.ch16_cost.drive import layout
from tplearn.checks.ch16_cost.recommend_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def recommend_parallelism(
    weight_bytes: int, heads: int, layers: int, gpus: int, gpus_per_node: int, room: int
) -> dict[str, int]:
    """Of the layouts that fit the one with the fewest stages, then the smallest tp; as many replicas as there are."""
    widths = [tp for tp in range(1, gpus_per_node + 1) if heads % tp == 0 and gpus_per_node % tp == 0]
    for pp in range(1, layers + 1):
        fullest = math.ceil(layers / pp)
        for tp in widths:
            if tp * pp <= gpus and weight_bytes * fullest <= room * tp * layers:
                return {"tp": tp, "pp": pp, "dp": gpus // (tp * pp)}
    raise ValueError(
        f"weight_bytes = {weight_bytes} do not fit into gpus = {gpus} with room = {room} bytes each; more GPUs or more "
        "room may work"
    )


@dataclass(frozen=True)
class Kind:
    """A case: `weights` is how many GPUs the weights would fill, if they could be poured."""

    label: str
    gpus: int
    node: int
    weights: float
    heads: tuple[int, ...] = (64, 32, 48)
    layers: tuple[int, ...] = (80, 64, 32)


KINDS = (
    Kind("one GPU holds it", 8, 8, 0.7),
    Kind("one GPU holds it", 1, 8, 0.9),
    Kind("a part of a node", 8, 8, 2.9),
    Kind("a part of a node", 16, 8, 3.6),
    Kind("exactly full", 8, 8, 2.0),
    Kind("28 query heads", 16, 8, 5.5, heads=(28,)),
    Kind("fewer GPUs than a node", 6, 8, 4.5, heads=(48, 24), layers=(36, 24)),
    Kind("seven GPUs", 7, 8, 1.5, heads=(56, 28)),
    Kind("twelve GPUs", 12, 4, 6.5, layers=(60, 36, 24)),
    Kind("a last node with 4 of 8 GPUs", 20, 8, 2.9),
    Kind("several nodes", 64, 8, 25.0, layers=(80, 64)),
    Kind("several nodes, not all for one replica", 72, 8, 14.5, layers=(80, 64)),
    Kind("uneven stages", 64, 8, 22.5, layers=(10, 13)),
    Kind("uneven stages", 64, 8, 16.5, layers=(13,)),
    Kind("too much for all GPUs", 16, 8, 17.5),
    Kind("too much for the fullest stage", 8, 8, 7.5, heads=(28,), layers=(5,)),
)


def _cases(generator: Generator) -> list[Case]:
    """Machines and models of every kind; the mesh is that of the machines: nodes × GPUs of a node."""
    cases = []
    for kind in KINDS:
        heads, layers = (sizes[pick(generator, 0, len(sizes) - 1)] for sizes in (kind.heads, kind.layers))
        room = pick(generator, 10, 120) * 10**9
        weights = round(kind.weights * room)
        nodes, here = math.ceil(kind.gpus / kind.node), min(kind.gpus, kind.node)
        arguments = (weights, heads, layers, kind.gpus, kind.node, room)
        cases.append(Case(kind.gpus, arguments, label=kind.label, mesh=(nodes, here)))
    return cases


RECOMMEND_PARALLELISM = Exercise(
    number="16.8",
    name="recommend_parallelism",
    points=20,
    difficulty=3,
    minutes=20,
    reference=recommend_parallelism,
    cases=_cases,
    observe=layout,
    mutants=MUTANTS,
    ready=("tplearn.planning.recommend", "tplearn.planning.layouts"),
)
