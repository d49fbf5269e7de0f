"""Judges an answer: fresh inputs, the reference beside it, and a search for the misconception it shows."""

import pickle
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import torch

from tplearn.checks.compare import Failure, first_difference
from tplearn.checks.exercise import Case, Exercise, Mutant, find_exercise
from tplearn.checks.run import Observation, observe_answers, observe_here
from tplearn.checks.verdict import NOT_ATTEMPTED, Verdict, explain, explain_failure

STATUS_OF_FAILURE = {"RankTimeout": "time limit", "RankDied": "exited", "SystemExit": "exited"}


def check(fn: Callable[..., Any], seed: int | None = None) -> None:
    """Print the verdict on the reader's function; the exercise is found by the function's name.

    The inputs are new each time. A failing verdict names its seed: `check(fn, seed=...)` repeats those inputs.

    Raises:
        ValueError: no exercise has that name, or `fn` has no name; the message lists the near ones.
    """
    name = getattr(fn, "__name__", None)
    if not callable(fn) or name is None:
        raise ValueError(f"check wants the function itself, as in check(column_parallel), not {fn!r}")
    print(judge(find_exercise(name), fn, seed))


def judge(exercise: Exercise, fn: Callable[..., Any], seed: int | None = None) -> Verdict:
    """Compare `fn` with the exercise's reference on fresh cases, and with its mutants where it is wrong."""
    seed = secrets.randbelow(2**31) if seed is None else seed
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    try:
        cloudpickle.dumps(fn)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        reason = f"Your function could not be sent to the process that runs it: {error}. Does it use a global object?"
        return Verdict(exercise, "error", explanation=reason)
    (got,), printed = observe_answers(exercise, [fn], cases)
    failures = [seen["error"] for seen in got if "error" in seen]
    if any(_is_stub(failure) for failure in failures):
        reason = f"{exercise.name} still raises the stub's NotImplementedError. Replace that line with your answer."
        return Verdict(exercise, "not attempted", explanation=reason)
    early = next((failure for failure in failures if failure.kind in STATUS_OF_FAILURE), None)
    if early:
        status = STATUS_OF_FAILURE[early.kind]
        return Verdict(exercise, status, explanation=explain_failure(early, cases[0].tp), seed=seed, printed=printed)
    want = observe_here(exercise, exercise.reference, cases)
    broken = next((seen["error"] for seen in want if "error" in seen and seen["error"].kind != "ValueError"), None)
    if broken:
        raise RuntimeError(f"the reference of {exercise.name} failed: {broken.kind}: {broken.text}\n{broken.detail}")
    right = [_same(g, w) for g, w in zip(got, want, strict=True)]
    aspects, sizes = _aspects(got, want), _sizes(cases, right)
    if all(right):
        return Verdict(exercise, "passed", aspects, sizes, seed=seed)
    first = right.index(False)
    status = "error" if "error" in got[first] and "error" not in want[first] else "wrong"
    says, look_at, name = _misconception(exercise, cases, got, want)
    explanation = says or explain(exercise, cases[first], got[first], want[first])
    return Verdict(exercise, status, aspects, sizes, explanation, look_at, name, seed, printed)


def _misconception(
    exercise: Exercise, cases: list[Case], got: list[Observation], want: list[Observation]
) -> tuple[str, str, str | None]:
    """The sentence, the place to look at and the name of the mutant that behaves as the answer on every case.

    An answer with a mutant's wrong results that only refuses bad sizes in another way shows that misconception too.
    """
    results = [k for k, right in enumerate(want) if "error" not in right]
    if all(_same(got[k], want[k]) for k in results):
        results = []
    tried: list[tuple[Mutant, list[Observation]]] = []
    for mutant, seen in _mutants_seen(exercise, cases, got, want):
        if len(seen) == len(cases) and all(map(_alike, got, seen, want)):
            return _told(mutant)
        tried.append((mutant, seen))
    for mutant, seen in tried:
        if results and len(seen) == len(cases) and all(_alike(got[k], seen[k], want[k]) for k in results):
            return _told(mutant)
    return "", "", None


def _told(mutant: Mutant) -> tuple[str, str, str]:
    return " ".join(mutant.says.split()), " ".join(mutant.look_at.split()), mutant.name


def _mutants_seen(
    exercise: Exercise, cases: list[Case], got: list[Observation], want: list[Observation]
) -> Iterator[tuple[Mutant, list[Observation]]]:
    """Every mutant with its observations, made in one child process.

    On ranks a run is dear: mutants come one by one, each given up at its first result that is not the answer's.
    """
    if not exercise.ranks:
        seen, _ = observe_answers(exercise, [mutant.answer for mutant in exercise.mutants], cases)
        yield from zip(exercise.mutants, seen, strict=True)
        return
    for mutant in exercise.mutants:
        observations: list[Observation] = []
        for case, mine, right in zip(cases, got, want, strict=True):
            observations += observe_answers(exercise, [mutant.answer], [case])[0][0]
            if "error" not in right and not _alike(mine, observations[-1], right):
                break
        yield mutant, observations


def _alike(got: Observation, mutant: Observation, want: Observation) -> bool:
    """Equal observations; two refusals that are both right count as equal whatever their text."""
    return first_difference(got, mutant) is None or ("error" in want and _same(got, want) and _same(mutant, want))


def _same(got: Observation, want: Observation) -> bool:
    """Equal observations; where the reference refuses with an error, an error of the same type is enough."""
    if "error" in want:
        return "error" in got and got["error"].kind == want["error"].kind
    return first_difference(got, want) is None


def _is_stub(failure: Failure) -> bool:
    return failure.kind == "NotImplementedError" and (not failure.text or failure.text.startswith(NOT_ATTEMPTED))


def _aspects(got: list[Observation], want: list[Observation]) -> dict[str, bool]:
    """Right or not, by aspect, over all cases. An expected error is the aspect "refusal"."""
    aspects: dict[str, bool] = {}
    for mine, right in zip(got, want, strict=True):
        if "error" in right:
            aspects["refusal"] = aspects.get("refusal", True) and _same(mine, right)
            continue
        for aspect in dict.fromkeys([*right, *(a for a in mine if a != "error")]):
            equal = aspect in mine and aspect in right and first_difference(mine[aspect], right[aspect]) is None
            aspects[aspect] = aspects.get(aspect, True) and equal
    return dict(sorted(aspects.items(), key=lambda item: item[0] in ("inputs", "refusal")))


def _sizes(cases: list[Case], right: list[bool]) -> dict[int, bool]:
    """Right or not, by tp."""
    return {tp: all(r for c, r in zip(cases, right, strict=True) if c.tp == tp) for tp in sorted({c.tp for c in cases})}
