"""What is told where the numbers are right, but a rank's did not come from where they should: over the wire."""

import inspect

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import Observation
from tplearn.checks.probe import telling, unmoved
from tplearn.checks.reach import reached_too_far
from tplearn.checks.traffic import counted

# Of all cases, and of those by number that were also run shifted.
WithShifted = tuple[list[Observation], dict[int, Observation]]


def computed_alone(exercise: Exercise, cases: list[Case], got: WithShifted, want: WithShifted) -> str:
    """A sentence where the numbers are right, but nothing that came over the wire went into them, or not all of it."""
    (plain, shifted), (right, right_shifted) = got, want
    for k in telling(exercise, list(shifted), right):
        place = unmoved((right[k], right_shifted[k]), (plain[k], shifted[k]))
        if place is not None:
            aspect, rank = place[0], place[1] if len(place) > 1 and exercise.ranks else 0
            rows = [row for row in right[k]["ledger"] if row.rank == rank]
            whose = f"rank {rank}'s" if exercise.ranks else "your"
            return (
                f"{cases[k].where} every number is right, but nothing that came from another rank went into {whose} "
                f"{aspect}. On real ranks it would have to: no rank "
                "can read another's memory, and none should do the work of all. What is due there: "
                f"{counted(rows)}."
            )
        place = reached_too_far(shifted[k], right_shifted[k])
        if place is not None:
            argument, owner, reader = place
            name = list(inspect.signature(exercise.reference).parameters)[argument]
            return (
                f"{cases[k].where} every number is right, but rank {reader} read {name}[{owner}], which lies in rank "
                f"{owner}'s memory, and no collective brought it. In this list that works; between real ranks nothing "
                f"crosses but through a collective. Rank {reader} has {name}[{reader}]."
            )
    return ""
