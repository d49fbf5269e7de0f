"""One name given for another, where an answer is a name of several: what the pair shows."""

from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.exercise import Case, Exercise, Misnomer
from tplearn.checks.explain import telling_case
from tplearn.checks.observe import Observation


def find_confusion(
    exercise: Exercise, cases: list[Case], got: list[Observation], want: list[Observation]
) -> Misnomer | None:
    """What `exercise.confused` says of the two names in the case that the explanation shows."""
    if exercise.confused is None:
        return None
    wrong = [wrong_aspects(exercise, mine, due) for mine, due in zip(got, want, strict=True)]
    k = telling_case(cases, wrong)
    due, given = want[k].get("forward"), got[k].get("forward")
    return exercise.confused(due, given) if type(given) is type(due) in (str, bool) else None
