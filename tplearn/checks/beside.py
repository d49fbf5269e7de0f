"""What is told beside a wrong value: which entries and kinds of case are wrong, and a bill that is wrong too."""

from typing import Any

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.likeness import wrong_entry_names
from tplearn.checks.observe import Observation
from tplearn.checks.traffic import counted

FEW = 3  # so many entries are told by their names


def only_kind(cases: list[Case], wrong: list[list[str]]) -> str:
    """A sentence where the wrong cases are all of one label, or two, and the cases of other labels are right."""
    several = any(case.tp > 1 for case in cases)
    counting = [(case, found) for case, found in zip(cases, wrong, strict=True) if case.tp > 1 or not several]
    bad = dict.fromkeys(case.label for case, found in counting if found)
    good = {case.label for case, found in counting if not found}
    if not 1 <= len(bad) <= 2 or len(bad) > len(good) or "" in bad or good & bad.keys():
        return ""
    return f"\nOnly this kind of case is wrong: {'; '.join(bad)}. The others are right."


def other_entries(got: Any, want: Any, names: list[str]) -> str:
    """A sentence where, of three named entries or more, some are right on all ranks: which of them, or which not."""
    first = want[0] if isinstance(want, list) and want else want
    if not isinstance(first, dict) or len(first) < 3:
        return ""
    bad = wrong_entry_names(got, want)
    wrong, right = ([key for key in first if (str(key) in bad) is wanted] for wanted in (True, False))
    if not wrong or not right or min(len(wrong), len(right)) > FEW:  # none is wrong where the answer has no entries
        return ""
    if len(wrong) == 1:
        return f" Its other {len(right)} entries are right."
    if len(wrong) <= len(right):
        return f" Wrong there: {_listed(wrong, names)}; the other {len(right)} are right."
    return f" Right there: {_listed(right, names)}; the other {len(wrong)} are wrong."


def _listed(keys: list[int | str], names: list[str]) -> str:
    """ "S over dp, R over tp and all together"; a number stands for the argument of that place."""
    return " and ".join(names[key] if isinstance(key, int) and key < len(names) else str(key) for key in keys)


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
