"""Many of the course's own answers judged at once: on ranks in one run for each tp."""

import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from tests.checks.answers import Alone
from tplearn.checks import Case, Exercise
from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.observe import Observation
from tplearn.checks.probe import probed, telling, unmoved, with_probes
from tplearn.checks.reach import reached_too_far
from tplearn.checks.run import observe, observe_trusted

Seen = list[Observation]
# One of them at a time: each child with JAX is large.
WITH_JAX = (
    pytest.mark.xdist_group("jax"),
    pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed; `make lab` installs it"),
)


def each(exercises: Iterable[Exercise]) -> pytest.MarkDecorator:
    """One test for each exercise, by its name; those under JAX are skipped where it is missing."""
    own = [pytest.param(e, id=e.name, marks=WITH_JAX if e.jax else ()) for e in exercises]
    return pytest.mark.parametrize("exercise", own)


def fresh_cases(exercise: Exercise) -> tuple[int, list[Case]]:
    """(a seed to print when something fails, the cases that it gives)."""
    seed = secrets.randbelow(2**31)
    return seed, exercise.cases(torch.Generator().manual_seed(seed))


def observations(
    exercise: Exercise, answers: Mapping[Hashable, Callable[..., Any] | Alone], cases: list[Case]
) -> tuple[Seen, dict[Hashable, Seen]]:
    """What the reference does on each case, and what each answer does."""
    together = {name: answer for name, answer in answers.items() if not isinstance(answer, Alone)}
    want, *seen = observe_trusted(exercise, [exercise.reference, *together.values()], cases)
    alone = {name: answer for name, answer in answers.items() if isinstance(answer, Alone)}
    of_alone = {name: observe(exercise, answer.answer, cases)[0] for name, answer in alone.items()}
    return want, dict(zip(together, seen, strict=True)) | of_alone


def faults(
    exercise: Exercise,
    answers: Mapping[Hashable, Callable[..., Any] | Alone],
    cases: list[Case],
    want: Seen,
    seen: dict[Hashable, Seen],
) -> dict[Hashable, list[str]]:
    """What is wrong with each answer: aspects by case, or "computed alone" (tplearn.checks.probe); [] if right."""
    found = {
        name: [
            f"{case}: {', '.join(wrong)}"
            for case, mine, due in zip(cases, of_answer, want, strict=True)
            if (wrong := wrong_aspects(exercise, mine, due))
        ]
        for name, of_answer in seen.items()
    }
    again = probed(exercise, cases)
    due = telling(exercise, again, want)
    right = [name for name in answers if not found[name]]
    if not due or not right:
        return found
    chosen = with_probes(cases, due)[len(cases) :]
    functions = [answers[name].answer if isinstance(answers[name], Alone) else answers[name] for name in right]
    reference, *shifted = observe_trusted(exercise, [exercise.reference, *functions], chosen)
    for name, mine in zip(right, shifted, strict=True):
        for k, due_shifted, mine_shifted in zip(due, reference, mine, strict=True):
            if unmoved((want[k], due_shifted), (seen[name][k], mine_shifted)) is not None:
                found[name].append(f"{cases[k]}: computed alone")
            if reached_too_far(mine_shifted, due_shifted) is not None:
                found[name].append(f"{cases[k]}: read from another rank")
    return found
