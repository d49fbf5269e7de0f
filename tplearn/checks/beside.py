"""What is told beside a wrong value: the only kind of case that is wrong, and a bill that is wrong too."""

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import Observation
from tplearn.checks.traffic import counted


def only_kind(cases: list[Case], wrong: list[list[str]]) -> str:
    """A sentence where the wrong cases are all of one label, or two, and the cases of other labels are right."""
    several = any(case.tp > 1 for case in cases)
    counting = [(case, found) for case, found in zip(cases, wrong, strict=True) if case.tp > 1 or not several]
    bad = dict.fromkeys(case.label for case, found in counting if found)
    good = {case.label for case, found in counting if not found}
    if not 1 <= len(bad) <= 2 or len(bad) > len(good) or "" in bad or good & bad.keys():
        return ""
    return f"\nOnly this kind of case is wrong: {'; '.join(bad)}. The others are right."


def bill(exercise: Exercise, mine: Observation, due: Observation) -> str:
    """A sentence about the collectives that ran, where they are too many, or none at all."""
    if "ledger" not in due or "ledger" not in mine:
        return ""
    complaint = exercise.sent.complaint(mine["ledger"], due["ledger"])
    if complaint:
        return f"\nAnd {complaint}"
    ran, wanted = ([row for row in seen["ledger"] if len(row.group) > 1] for seen in (mine, due))
    if ran or not wanted:
        return ""
    first = [row for row in wanted if row.rank == wanted[0].rank]
    return f"\nAnd your function ran no collective, where {counted(first)} is due."
