"""What of an answer's observation is wrong, aspect by aspect, beside the reference's."""

from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Exercise
from tplearn.checks.observe import Observation

# What is told first: a changed input, a result that was not waited for, a seed of its own, a part that is missing, a
# plan for modules that are not there, or a model that stops, spoils all that follows.
FIRST = ("inputs", "upstream", "handles", "seed", "parts", "plan", "runs")
NOT_VALUES = (*FIRST, "wires", "memory", "ledger", "warning", "hook", "error", "refusal")


def wrong_aspects(exercise: Exercise, got: Observation, want: Observation) -> list[str]:
    """The aspects that are wrong, what is told first in front; "refusal" for an error that is due, "error" for others.

    Where the reference refuses with an error, an error of the same type is enough.
    """
    if "error" in want:
        return [] if "error" in got and got["error"].kind == want["error"].kind else ["refusal"]
    if "error" in got:
        return ["error"]
    found = []
    for aspect in dict.fromkeys([*FIRST, *want, *got]):
        if aspect in exercise.unjudged:
            continue
        if aspect == "ledger":
            wrong = exercise.sent.complaint(got.get(aspect, []), want.get(aspect, [])) is not None
        else:
            wrong = first_difference(got.get(aspect), want.get(aspect)) is not None
        found += [aspect] if wrong else []
    return sorted(found, key=lambda aspect: aspect == "ledger")  # a wrong value says more than a wrong bill


def same_values(one: Observation, other: Observation, aspect: str | None = None) -> bool:
    """Equal results and gradients (or in one aspect), whatever was sent for them."""
    aspects = [aspect] if aspect else [key for key in dict.fromkeys([*one, *other]) if key not in NOT_VALUES]
    return all(key in one and key in other and first_difference(one[key], other[key]) is None for key in aspects) and (
        "error" in one
    ) == ("error" in other)


def values_wrong(wrong: list[str]) -> list[str]:
    """Of the wrong aspects, those that are values."""
    return [aspect for aspect in wrong if aspect not in NOT_VALUES]
