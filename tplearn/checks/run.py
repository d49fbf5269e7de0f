"""Runs answers on cases in child processes, so that a loop, an exit or a crash in an answer is an observation too."""

import contextlib
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inside import Answer, ExitedEarly, OnRank, TrustedOnRank, observe_all
from tplearn.checks.observe import Observation
from tplearn.ranks import RankError, RankFailed, RankTimeout, per_rank, run_ranks
from tplearn.ranks.job import PerRank
from tplearn.ranks.ledger import Row

NOT_RUN = Failure("NotRun", "a case before this one reached the time limit")
TRUSTED_SECONDS = 600.0  # the course's own answers end; on a busy machine they may take their time


def observe(exercise: Exercise, answer: Answer, cases: list[Case]) -> tuple[list[Observation], str]:
    """What a reader's answer does on each case, the shifted ones last, and what it printed.

    Where a run with shifted cases fails, they count as failed, and the others are run once more without them.
    """
    if exercise.ranks:
        return _on_ranks(exercise, answer, cases)
    try:
        with _quiet():
            run = run_ranks(observe_all, 1, [answer], exercise.observe, cases, timeout=exercise.timeout, record=False)
    except RankError as error:
        unshifted = [case for case in cases if not case.shift]
        failed: list[Observation] = [{"error": _failure(error)}] * len(cases)
        if len(unshifted) == len(cases):
            return failed, "".join(error.output)
        seen, output = observe(exercise, answer, unshifted)
        return seen + failed[len(seen) :], output
    return run.values[0][0], "".join(run.output)


def observe_trusted(exercise: Exercise, answers: Sequence[Answer], cases: list[Case]) -> list[list[Observation]]:
    """What each of the course's own answers does on each case: here, or on ranks, all in one run.

    None may hang, or fail on some ranks only: such a mutant is `alone`, and a reader's answer to `observe`.
    """
    if not exercise.ranks:
        with torch.random.fork_rng(devices=[]):  # the reader's own random numbers go on as if nothing had been checked
            return observe_all(answers, exercise.observe, cases)
    falling = sorted(range(len(cases)), key=lambda number: -cases[number].tp)
    own = _by_rank([cases[number] for number in falling])
    with tempfile.TemporaryDirectory(prefix="tplearn-") as folder, _quiet():
        drive = TrustedOnRank(tuple(answers), exercise.observe, folder)
        run = run_ranks(drive, len(own.values), own, timeout=TRUSTED_SECONDS, record=False)
    seen: list[list[Observation]] = [[{}] * len(cases) for _ in answers]
    for k, number in enumerate(falling):
        for a in range(len(answers)):
            seen[a][number] = _joined([on_rank[k][a] for on_rank in run.values[: cases[number].tp]])
    return seen


def _on_ranks(exercise: Exercise, answer: Answer, cases: list[Case]) -> tuple[list[Observation], str]:
    """All cases of one tp in one run; where it fails, each case in a run of its own, to see which.

    A stub fails all. A case that reaches the time limit, alone too, is the last that is run.
    """
    seen: list[Observation] = [{"error": NOT_RUN}] * len(cases)
    outputs: list[str] = []
    drive = OnRank(answer, exercise.observe)
    order = sorted(range(len(cases)), key=lambda number: cases[number].tp)
    waiting = [list(numbers) for _, numbers in groupby(order, key=lambda number: cases[number].tp)]
    while waiting:
        numbers = waiting.pop(0)
        own = _by_rank([cases[number] for number in numbers])
        try:
            with _quiet():
                run = run_ranks(drive, len(own.values), own, timeout=exercise.timeout)
        except RankError as error:
            failure = _failure(error)
            if failure.is_stub:
                return [{"error": failure}] * len(cases), "".join(error.output)
            for number in numbers:
                seen[number] = {"error": failure}
            if len(numbers) > 1:
                waiting[:0] = [[number] for number in numbers if not cases[number].shift]
                continue
            outputs.extend(error.output)
            if isinstance(error, RankTimeout):
                break
            continue
        outputs.extend(run.output)
        for k, number in enumerate(numbers):
            seen[number] = _joined([on_rank[k] for on_rank in run.values])
    return seen, "".join(outputs)


def _by_rank(cases: list[Case]) -> PerRank:
    """For each rank the cases that it takes part in; each gets its own arguments, and no other rank's."""
    ranks = range(max(case.tp for case in cases))
    return per_rank([[_of_rank(case, rank) for case in cases if rank < case.tp] for rank in ranks])


def _of_rank(case: Case, rank: int) -> Case:
    def own(value: Any) -> Any:
        return value.of(rank) if isinstance(value, PerRank) else value

    return replace(case, args=tuple(map(own, case.args)), kwargs={k: own(v) for k, v in case.kwargs.items()})


def _joined(by_rank: list[Observation]) -> Observation:
    """Every aspect as a list by rank, but the ledger, which is one; an error where any rank has one."""
    failed = next((seen for seen in by_rank if "error" in seen), None)
    if failed:
        return failed
    aspects = dict.fromkeys(aspect for seen in by_rank for aspect in seen if aspect != "ledger")
    rows: list[Row] = [row for seen in by_rank for row in seen["ledger"]]
    return {aspect: [seen.get(aspect) for seen in by_rank] for aspect in aspects} | {"ledger": rows}


def _failure(error: RankError) -> Failure:
    """A failed run as an observation. The report's source lines differ between equal answers: they are only detail."""
    if isinstance(error, RankFailed) and error.tracebacks:
        last = next(iter(error.tracebacks.values())).strip().splitlines()
        raised = next((line for line in reversed(last) if re.match(r"[A-Za-z_][\w.]*(:|$)", line)), last[-1])
        kind, _, text = raised.partition(":")
        kind = kind.rsplit(".", 1)[-1]
        return Failure("SystemExit" if kind == ExitedEarly.__name__ else kind, text.strip(), str(error))
    lines = [re.sub(r"\s{2,}(cell line \d+|\S+\.py:\d+).*", "", line) for line in str(error).splitlines()]
    return Failure(type(error).__name__, "\n".join(lines), str(error))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what answers print out of the notebook: it comes back with the run and is shown only if the answer fails."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
