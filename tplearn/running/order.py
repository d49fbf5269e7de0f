"""What the ranks of a script are told beside the job that every rank has."""

from dataclasses import dataclass

from tplearn.running.program import Program


@dataclass(frozen=True)
class Order:
    """program: what to run. place: torchrun's variables that are the same on all ranks. timeline: keep times."""

    program: Program
    place: dict[str, str]
    timeline: bool
