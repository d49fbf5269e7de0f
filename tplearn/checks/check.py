"""Judges an answer: fresh inputs, the reference beside it, and a search for the misconception it shows."""

import os
import pickle
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import cloudpickle
import torch

from tplearn.checks.alone import WithShifted, computed_alone
from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.confusion import find_confusion
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.explain import explain, explain_failure
from tplearn.checks.misconception import find_misconception
from tplearn.checks.observe import Observation
from tplearn.checks.probe import probed, with_probes
from tplearn.checks.ready import taken_ready
from tplearn.checks.registry import find_exercise
from tplearn.checks.run import observe, observe_trusted
from tplearn.checks.traffic import ops_by_rank
from tplearn.checks.verdict import Verdict
from tplearn.gspmd.devices import require_jax
from tplearn.ranks import RankDied, RankTimeout

STATUS_OF_FAILURE = {RankTimeout.__name__: "time limit", RankDied.__name__: "exited", SystemExit.__name__: "exited"}
NBGRADER = "NBGRADER_EXECUTION"  # nbgrader sets it where it grades or validates
PATIENCE = 5  # so many times as long as the reference on all cases may one run of an answer take
Seen = list[Observation]


def check(fn: Callable[..., Any], seed: int | None = None) -> None:
    """Print the verdict on the reader's function; the exercise is found by the function's name.

    The inputs are new each time. A failing verdict names its seed: `check(fn, seed=...)` repeats those inputs.

    Raises:
        ValueError: no exercise has that name, or `fn` has no name; the message lists the near ones.
        AssertionError: the function does not pass, and nbgrader runs this, which gives points where nothing is raised.
    """
    name = getattr(fn, "__name__", None)
    if not callable(fn) or name is None:
        raise ValueError(f"check wants the function itself, as in check(column_parallel), not {fn!r}")
    if name == "<lambda>":
        raise ValueError("a lambda has no name to find its exercise by: use def, with the exercise's name")
    verdict = judge(find_exercise(name), fn, seed)
    print(verdict)
    if not verdict.passed and NBGRADER in os.environ:
        raise AssertionError(f"{name}: {verdict.earned} of {verdict.exercise.points} points")


def judge(exercise: Exercise, fn: Callable[..., Any], seed: int | None = None) -> Verdict:
    """Compare `fn` with the exercise's reference on fresh cases, and with its mutants where it is wrong."""
    missing = _missing(exercise)
    if missing:
        return Verdict(exercise, "not checked", explanation=missing)
    ready = taken_ready(fn, exercise.ready)
    if ready:
        reason = f"Your function uses {ready}, where this is done already. Here, write it yourself."
        return Verdict(exercise, "ready-made", explanation=reason)
    seed = secrets.randbelow(2**31) if seed is None else seed
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    try:
        cloudpickle.dumps(fn)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        reason = f"Your function could not be sent to the process that runs it: {error}. Does it use a global object?"
        return Verdict(exercise, "error", explanation=reason)
    again = probed(exercise, cases)
    tried = with_probes(cases, again)
    started = time.monotonic()
    want, want_shifted = _divided(_right(exercise, tried), again)
    # The time limit is not for slow machines: it grows with what the reference needs.
    patient = replace(exercise, timeout=max(exercise.timeout, PATIENCE * (time.monotonic() - started)))
    seen, printed = observe(patient, fn, tried)
    got, shifted = _divided(seen, again)
    failures = [(case, seen["error"]) for case, seen in zip(cases, got, strict=True) if "error" in seen]
    if any(failure.is_stub for _, failure in failures):
        reason = f"{exercise.name} still raises the stub's NotImplementedError. Replace that line with your answer."
        return Verdict(exercise, "not attempted", explanation=reason)
    early = next((pair for pair in failures if pair[1].kind in STATUS_OF_FAILURE), None)
    if early:
        case, failure = early
        explanation = explain_failure(failure, case)
        return Verdict(exercise, STATUS_OF_FAILURE[failure.kind], explanation=explanation, seed=seed, printed=printed)
    wrong = [wrong_aspects(exercise, mine, due) for mine, due in zip(got, want, strict=True)]
    aspects, sizes = _aspects(exercise, got, want, wrong), _sizes(cases, wrong)
    alone = "" if any(wrong) else computed_alone(exercise, cases, (got, shifted), (want, want_shifted))
    if not any(wrong) and not alone:
        return Verdict(exercise, "passed", aspects, sizes, seed=seed)
    if alone:
        aspects, sizes = aspects | {"ledger": False}, {case.size: case.tp == 1 for case in _by_ranks(cases)}
    status = "error" if any("error" in found for found in wrong) else "wrong"
    mutant = find_misconception(exercise, cases, got, want)
    if mutant:
        explanation, look_at = (" ".join(text.split()) for text in (mutant.says, mutant.look_at))
        return Verdict(exercise, status, aspects, sizes, explanation, look_at, mutant.name, seed, printed)
    explanation = alone or explain(exercise, cases, got, want)
    confusion = None if alone else find_confusion(exercise, cases, got, want)
    if confusion:
        explanation += f"\n{confusion.says}"
        return Verdict(exercise, status, aspects, sizes, explanation, confusion.look_at, confusion.name, seed, printed)
    return Verdict(exercise, status, aspects, sizes, explanation, seed=seed, printed=printed)


def _missing(exercise: Exercise) -> str:
    """A sentence where this machine lacks what the exercise needs; JAX is looked for, but not loaded."""
    if exercise.jax and find_spec("jax") is None:
        try:
            require_jax()
        except ImportError as error:
            return f"{error}."
    return ""


def _divided(seen: Seen, again: list[int]) -> WithShifted:
    """What was seen of each case, and of those that were run again, by number."""
    cases = len(seen) - len(again)
    return seen[:cases], dict(zip(again, seen[cases:], strict=True))


def _right(exercise: Exercise, cases: list[Case]) -> Seen:
    """What the reference does. An error that is no refusal is the course's own mistake."""
    (want,) = observe_trusted(exercise, [exercise.reference], cases)
    errors = [seen["error"] for case, seen in zip(cases, want, strict=True) if "error" in seen and not case.shift]
    broken = next((error for error in errors if error.kind != ValueError.__name__), None)
    if broken:
        raise RuntimeError(f"the reference of {exercise.name} failed: {broken.kind}: {broken.text}\n{broken.detail}")
    return want


def _aspects(exercise: Exercise, got: Seen, want: Seen, wrong: list[list[str]]) -> dict[str, bool]:
    """Right or not, by aspect, over all cases. An expected error is the aspect "refusal".

    Nothing is said of a ledger that keeps its bounds by other collectives than are due, where values are wrong.
    """
    aspects: dict[str, bool] = {}
    other_ops = False
    for mine, due, found in zip(got, want, wrong, strict=True):
        names = ["refusal"] if "error" in due else [*due, *(key for key in mine if key != "error")]
        for aspect in [name for name in dict.fromkeys(names) if name not in exercise.unjudged]:
            missing = "error" in mine and "error" not in due
            aspects[aspect] = aspects.get(aspect, True) and aspect not in found and not missing
        other_ops |= bool(found) and ops_by_rank(mine.get("ledger", [])) != ops_by_rank(due.get("ledger", []))
    if other_ops and aspects.get("ledger"):
        del aspects["ledger"]
    return dict(sorted(aspects.items(), key=lambda item: item[0] in ("inputs", "handles", "refusal")))


def _sizes(cases: list[Case], wrong: list[list[str]]) -> dict[int | str, bool]:
    """Right or not, by the number of ranks or by mesh."""
    return {
        size: not any(found for case, found in zip(cases, wrong, strict=True) if case.size == size)
        for size in dict.fromkeys(case.size for case in _by_ranks(cases))
    }


def _by_ranks(cases: list[Case]) -> list[Case]:
    """Few ranks first."""
    return sorted(cases, key=lambda case: case.tp)
