"""Runs answers on cases in child processes, so that a loop, an exit or a crash in an answer is an observation too."""

import contextlib
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import cloudpickle
import torch

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inside import Answer, ExitedEarly, OnRank, TrustedOnRank, observe_all, observe_under_jax
from tplearn.checks.observe import Observation
from tplearn.checks.parts import in_full
from tplearn.ranks import RankError, RankFailed, RankTimeout, Run, per_rank, run_ranks
from tplearn.ranks.job import PerRank
from tplearn.ranks.launch import Call, run_side_by_side
from tplearn.ranks.ledger import Row

NOT_RUN = Failure("NotRun", "a case before this one reached the time limit")
TRUSTED_SECONDS = 600.0  # the course's own answers end; on a busy machine they may take their time
MOST_RANKS = 24  # at once: each is a process with some memory of its own
Try = tuple[Answer, list[Case]]


def observe(exercise: Exercise, answer: Answer, cases: list[Case]) -> tuple[list[Observation], str]:
    """What a reader's answer does on each case, the shifted ones last, and what it printed.

    Where a run with shifted cases fails, they count as failed, and the others are run once more without them.
    """
    if exercise.ranks:
        return _on_ranks(exercise, answer, cases)
    try:
        run = _in_a_child(exercise, [answer], cases, exercise.timeout)
    except RankError as error:
        unshifted = [case for case in cases if not case.shift]
        failed: list[Observation] = [{"error": failure_of(error)}] * len(cases)
        if len(unshifted) == len(cases):
            return failed, "".join(error.output)
        seen, output = observe(exercise, answer, unshifted)
        return seen + failed[len(seen) :], output
    return run.values[0][0], "".join(run.output)


def observe_trusted(exercise: Exercise, answers: Sequence[Answer], cases: list[Case]) -> list[list[Observation]]:
    """What each of the course's own answers does on each case: here, or on ranks or under JAX, all in one run.

    None may hang, or fail on some ranks only: such a mutant is `alone`, and a reader's answer to `observe`.
    """
    if exercise.jax:
        return _in_a_child(exercise, answers, cases, TRUSTED_SECONDS).values[0]
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
            seen[a][number] = joined([on_rank[k][a] for on_rank in run.values[: cases[number].tp]])
    return seen


def observe_each(exercise: Exercise, tries: list[tuple[Answer, Case]]) -> list[Observation]:
    """What each of several answers does on a case of its own."""
    if not exercise.ranks:
        return [observe(exercise, answer, [case])[0][0] for answer, case in tries]
    outcomes = _side_by_side(exercise, [(answer, [case]) for answer, case in tries])
    return [seen for (seen,), _ in outcomes]


def _in_a_child(exercise: Exercise, answers: Sequence[Answer], cases: list[Case], timeout: float) -> Run:
    with _quiet():
        if exercise.jax:
            packed = cloudpickle.dumps(list(answers))
            return run_ranks(observe_under_jax, 1, packed, exercise.observe, cases, timeout=timeout, record=False)
        return run_ranks(observe_all, 1, list(answers), exercise.observe, cases, timeout=timeout, record=False)


def _on_ranks(exercise: Exercise, answer: Answer, cases: list[Case]) -> tuple[list[Observation], str]:
    """All cases of one tp in one run; where it fails, each case in a run of its own, to see which. A stub fails all."""
    seen: list[Observation] = [{}] * len(cases)
    printed: dict[int, str] = {}
    order = sorted(range(len(cases)), key=lambda number: cases[number].tp)
    waiting = [list(numbers) for _, numbers in groupby(order, key=lambda number: cases[number].tp)]
    while waiting:
        outcomes = _side_by_side(exercise, [(answer, [cases[number] for number in numbers]) for numbers in waiting])
        failed: list[list[int]] = []
        for numbers, (observed, output) in zip(waiting, outcomes, strict=True):
            for number, one in zip(numbers, observed, strict=True):
                seen[number] = one
            if "error" not in observed[0] or len(numbers) == 1:
                printed[numbers[0]] = output
            elif observed[0]["error"].is_stub:
                return observed[:1] * len(cases), output
            else:
                failed.append(numbers)
        if any(len(numbers) == 1 and _timed_out(seen[numbers[0]]) for numbers in waiting):
            break
        waiting = [[number] for numbers in failed for number in numbers if not cases[number].shift]
    return seen, "".join(printed[number] for number in sorted(printed))


def _side_by_side(exercise: Exercise, tries: list[Try]) -> list[tuple[list[Observation], str]]:
    """What each answer does on its cases, in a run of its own, and what it prints.

    Once a single case has reached the time limit, no more runs are started: nobody waits for that twice.
    """
    done: list[tuple[list[Observation], str]] = []
    while len(done) < len(tries):
        calls: list[Call] = []
        for answer, cases in tries[len(done) :]:
            own = _by_rank(cases)
            if calls and sum(call.world_size for call in calls) + len(own.values) > MOST_RANKS:
                break
            calls.append(Call(OnRank(answer, exercise.observe), len(own.values), (own,)))
        now = tries[len(done) : len(done) + len(calls)]
        with _quiet():
            runs = run_side_by_side(calls, exercise.timeout)
        done += [_outcome(run, cases) for run, (_, cases) in zip(runs, now, strict=True)]
        if any(len(seen) == 1 and _timed_out(seen[0]) for seen, _ in done):
            break
    return done + [([{"error": NOT_RUN}] * len(cases), "") for _, cases in tries[len(done) :]]


def _timed_out(seen: Observation) -> bool:
    return "error" in seen and seen["error"].kind == RankTimeout.__name__


def _outcome(run: Run | RankError, cases: list[Case]) -> tuple[list[Observation], str]:
    """By case, and all prints. Where the run failed, so did all its cases."""
    output = "".join(run.output)
    if isinstance(run, RankError):
        return [{"error": failure_of(run)}] * len(cases), output
    return [joined([on_rank[k] for on_rank in run.values if k < len(on_rank)]) for k in range(len(cases))], output


def _by_rank(cases: list[Case]) -> PerRank:
    """For each rank the cases that it takes part in; each gets its own arguments, and no other rank's."""
    ranks = range(max(case.tp for case in cases))
    return per_rank([[of_rank(case, rank) for case in cases if rank < case.tp] for rank in ranks])


def of_rank(case: Case, rank: int) -> Case:
    def own(value: Any) -> Any:
        return value.of(rank) if isinstance(value, PerRank) else value

    return replace(case, args=tuple(map(own, case.args)), kwargs={k: own(v) for k, v in case.kwargs.items()})


def joined(by_rank: list[Observation]) -> Observation:
    """Every aspect as a list by rank, parts in full, but the ledger, which is one; an error where any rank has one."""
    failed = next((seen for seen in by_rank if "error" in seen), None)
    if failed:
        return failed
    aspects = dict.fromkeys(aspect for seen in by_rank for aspect in seen if aspect != "ledger")
    rows: list[Row] = [row for seen in by_rank for row in seen["ledger"]]
    return {aspect: in_full([seen.get(aspect) for seen in by_rank]) for aspect in aspects} | {"ledger": rows}


def failure_of(error: RankError) -> Failure:
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
