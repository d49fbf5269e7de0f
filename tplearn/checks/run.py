"""Runs answers on cases in child processes, so that a loop, an exit or a crash in an answer is an observation too."""

import contextlib
import copy
import io
import re
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import Observer
from tplearn.ranks import RankError, RankFailed, run_ranks

Answer = Callable[..., Any]
Observation = dict[str, Any]  # aspect -> value, or {"error": Failure}


class ExitedEarly(RuntimeError):
    """The answer called sys.exit on a rank."""


def observe_answers(
    exercise: Exercise, answers: Sequence[Answer], cases: list[Case]
) -> tuple[list[list[Observation]], str]:
    """What each answer does on each case, and what was printed. One child process, or `case.tp` ranks for each run."""
    if exercise.ranks:
        outputs: list[str] = []
        return [[_on_ranks(exercise, answer, case, outputs) for case in cases] for answer in answers], "".join(outputs)
    try:
        with _quiet():
            run = run_ranks(
                _in_child, 1, list(answers), exercise.observe, cases, timeout=exercise.timeout, record=False
            )
    except RankError as error:
        failed = {"error": _failure(error)}
        return [[failed for _ in cases] for _ in answers], "".join(error.output)
    return run.values[0], "".join(run.output)


def observe_here(exercise: Exercise, answer: Answer, cases: list[Case]) -> list[Observation]:
    """The same for trusted code, without a child process where one process is enough."""
    if exercise.ranks:
        return observe_answers(exercise, [answer], cases)[0][0]
    return [_observe(answer, exercise.observe, case) for case in cases]


def _in_child(answers: list[Answer], observer: Observer, cases: list[Case]) -> list[list[Observation]]:
    return [[_observe(answer, observer, case) for case in cases] for answer in answers]


def _observe(answer: Answer, observer: Observer, case: Case) -> Observation:
    """One observation; an exception of the answer is {"error": Failure}."""
    torch.manual_seed(0)
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    try:
        return observer(answer, *args, **kwargs)
    except SystemExit as error:
        return {"error": Failure("SystemExit", f"sys.exit({error.code!r})", _where(error, answer))}
    except Exception as error:
        return {"error": Failure(type(error).__name__, _first_line(str(error)), _where(error, answer))}


def _on_ranks(exercise: Exercise, answer: Answer, case: Case, outputs: list[str]) -> Observation:
    """One run on real ranks: every aspect becomes a list by rank, and the recorded ledger is added."""
    try:
        with _quiet():
            run = run_ranks(
                _on_one_rank, case.tp, answer, exercise.observe, *case.args, timeout=exercise.timeout, **case.kwargs
            )
    except RankError as error:
        outputs.extend(error.output)
        return {"error": _failure(error)}
    outputs.extend(run.output)
    aspects = dict.fromkeys(aspect for seen in run.values for aspect in seen)
    rows = [[row.rank, row.op, row.bytes, row.reduce_op, row.peer] for row in run.ledger.rows]  # the form is free
    ledger = sorted(rows, key=repr)  # isend before irecv or after it: the same books
    return {aspect: [seen.get(aspect) for seen in run.values] for aspect in aspects} | {"ledger": ledger}


def _on_one_rank(answer: Answer, observer: Observer, *args: Any, **kwargs: Any) -> Observation:
    torch.manual_seed(0)
    warnings.simplefilter(
        "ignore"
    )  # a verdict is the same text everywhere; torch's warnings name files of this machine
    try:
        return observer(answer, *args, **kwargs)
    except SystemExit as error:
        raise ExitedEarly(f"sys.exit({error.code!r})") from error


def _failure(error: RankError) -> Failure:
    """A failed run as an observation. The report's source lines differ between equal answers: they are only detail."""
    if isinstance(error, RankFailed) and error.tracebacks:
        last = next(iter(error.tracebacks.values())).strip().splitlines()
        raised = next((line for line in reversed(last) if re.match(r"[A-Za-z_][\w.]*(:|$)", line)), last[-1])
        kind, _, text = raised.partition(":")
        kind = kind.rsplit(".", 1)[-1]
        return Failure("SystemExit" if kind == "ExitedEarly" else kind, text.strip(), str(error))
    lines = [re.sub(r"\s{2,}(cell line \d+|\S+\.py:\d+).*", "", line) for line in str(error).splitlines()]
    return Failure(type(error).__name__, "\n".join(lines), str(error))


def _where(error: BaseException, answer: Answer) -> str:
    """The answer's own line at which it failed, as "line 3: y = x[4]"."""
    code = getattr(answer, "__code__", None)
    frames: list[tuple[FrameType, int]] = list(traceback.walk_tb(error.__traceback__))
    own = [pair for pair in frames if code and pair[0].f_code.co_filename == code.co_filename]
    if not own:
        return ""
    frame, line = own[-1]
    text = traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name).line
    return f"line {line}: {text}" if text else f"line {line}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep what answers print out of the notebook: it comes back with the run and is shown only if the answer fails."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
