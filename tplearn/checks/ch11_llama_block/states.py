"""Exercise 11.1: the state and the shape of every tensor of half a block, with and without sequence parallelism."""

from torch import Generator

from tplearn.checks.ch11_llama_block.drive import of_table
from tplearn.checks.ch11_llama_block.states_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

States = dict[str, tuple[str, tuple[int, ...]]]


def block_states(batch: int, seq: int, hidden: int, ffn: int, tp: int, sequence_parallel: bool) -> States:
    """{name: (state, shape on a rank)} of the MLP half of a block on tp ranks."""
    whole = (batch, seq, hidden)
    between = ("S(1)", (batch, seq // tp, hidden)) if sequence_parallel else ("R", whole)
    return {
        "x": between,
        "normed": between,
        "read": ("R", whole),
        "inner": ("S(2)", (batch, seq, ffn // tp)),
        "partial": ("P", whole),
        "reduced": between,
        "y": between,
        "norm weight": ("R", (hidden,)),
        "gate weight": ("S(0)", (ffn // tp, hidden)),
        "down weight": ("S(1)", (hidden, ffn // tp)),
        "gradient of read": ("P", whole),
        "gradient of norm weight": ("P" if sequence_parallel else "R", (hidden,)),
    }


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (2, 3, 4):
        for sequence_parallel in (False, True):
            sizes = pick(generator, 2, 7), tp * pick(generator, 9, 15), pick(generator, 16, 20, 12)
            ffn = pick(generator, 21, 25, 12)
            cases.append(Case(tp, (*sizes, ffn, tp, sequence_parallel)))
    return cases


BLOCK_STATES = Exercise(
    number="11.1",
    name="block_states",
    points=10,
    difficulty=2,
    minutes=12,
    reference=block_states,
    cases=_cases,
    observe=of_table,
    mutants=MUTANTS,
)
