"""Judges a function: fresh inputs, the reference beside it, and a search for the misconception it shows."""

import os
import pickle
import secrets
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import cloudpickle

from tplearn.checks.exercise import Exercise
from tplearn.checks.ready import taken_ready
from tplearn.checks.registry import find_exercise
from tplearn.checks.run import observe
from tplearn.checks.trial import Trial
from tplearn.checks.verdict import Verdict
from tplearn.gspmd.devices import require_jax

NBGRADER = "NBGRADER_EXECUTION"  # nbgrader sets it where it grades or validates


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
    missing = missing_for(exercise)
    if missing:
        return Verdict(exercise, "not checked", explanation=missing)
    ready = taken_ready(fn, exercise.ready)
    if ready:
        reason = f"Your function uses {ready}, where this is done already. Here, write it yourself."
        return Verdict(exercise, "ready-made", explanation=reason)
    try:
        cloudpickle.dumps(fn)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        reason = f"Your function could not be sent to the process that runs it: {error}. Does it use a global object?"
        return Verdict(exercise, "error", explanation=reason)
    return judge_on(Trial(exercise, secrets.randbelow(2**31) if seed is None else seed), fn)


def judge_on(trial: Trial, fn: Callable[..., Any]) -> Verdict:
    """The verdict on the cases of a trial, which may have seen other functions before."""
    seen, printed = observe(replace(trial.exercise, timeout=trial.timeout), fn, trial.tried)
    return trial.verdict(seen, printed)


def missing_for(exercise: Exercise) -> str:
    """A sentence where this machine lacks what the exercise needs; JAX is looked for, but not loaded."""
    if exercise.jax and find_spec("jax") is None:
        try:
            require_jax()
        except ImportError as error:
            return f"{error}."
    return ""
