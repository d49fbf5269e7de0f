"""What runs in the child process or on each rank: answers on cases. It imports no reference and no mutant."""

import contextlib
import copy
import io
import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import cloudpickle
import torch
import torch.distributed as dist

from tplearn.checks.compare import Failure, first_line
from tplearn.checks.exercise import Case
from tplearn.checks.observe import Observation, Observer
from tplearn.checks.probe import shift_arrivals, shifted
from tplearn.checks.under_jax import prepare
from tplearn.ranks.events import Enter, Event
from tplearn.ranks.ledger import Row
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.worker import join_group

Answer = Callable[..., Any]


class ExitedEarly(RuntimeError):
    """The answer called sys.exit on a rank."""


def observe_all(answers: Sequence[Answer], observer: Observer, cases: list[Case]) -> list[list[Observation]]:
    """In one process: each answer on each case; an exception is an observation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these tensors are small: a second thread would cost more than it brings
    try:
        return [[_observe(answer, observer, case) for case in cases] for answer in answers]
    finally:
        torch.set_num_threads(threads)


def observe_under_jax(packed: bytes, observer: Observer, cases: list[Case]) -> list[list[Observation]]:
    """As `observe_all`, in a process that has not used JAX. The answers are packed: what unpacks them may use it."""
    prepare()
    return observe_all(cloudpickle.loads(packed), observer, cases)


@dataclass(frozen=True)
class OnRank:
    """What a rank runs: a reader's answer on each case, with a ledger of its own.

    An error ends the run, because the other ranks may wait for this one.
    """

    reader: Answer  # whose lines a report is about
    observer: Observer

    def __call__(self, cases: list[Case]) -> list[Observation]:
        """By case."""
        _settle()
        return [_observe_on_rank(self.reader, self.observer, case) for case in cases]


@dataclass(frozen=True)
class TrustedOnRank:
    """What a rank runs of the course's own: each answer on each case, where an error is an observation.

    The cases come by falling tp. Where the tp falls, the first ranks go on as the whole world, and the others are done:
    to start new ranks would take longer than all the rest.
    """

    answers: tuple[Answer, ...]
    observer: Observer
    folder: str

    def __call__(self, cases: list[Case]) -> list[list[Observation]]:
        """By case, then by answer."""
        _settle()
        left: list[dist.ProcessGroup] = []  # kept, because the last messages may still be on their way
        seen = []
        for case in cases:
            if case.tp < dist.get_world_size():
                left.append(dist.group.WORLD)
                self._go_on_with(case.tp)
            seen.append([self._one(answer, case) for answer in self.answers])
        return seen

    def _go_on_with(self, tp: int) -> None:
        rank = dist.get_rank()
        dist.destroy_process_group()
        os.environ["WORLD_SIZE"] = os.environ["LOCAL_WORLD_SIZE"] = str(tp)
        os.environ["TORCH_DIST_INIT_BARRIER"] = "1"  # who goes on to the next group breaks the joins of the others
        join_group(rank, tp, f"{self.folder}/store.{tp}")

    def _one(self, answer: Answer, case: Case) -> Observation:
        try:
            return _observe_on_rank(answer, self.observer, case)
        except Exception as error:
            return {"error": Failure(type(error).__name__, first_line(str(error)))}


def _settle() -> None:
    # A verdict is the same text everywhere; torch's warnings name files of this machine.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # as above


def _observe_on_rank(answer: Answer, observer: Observer, case: Case) -> Observation:
    torch.set_default_dtype(torch.float32)  # an observer may have set another
    torch.default_generator.manual_seed(0)
    rows: list[Row] = []

    def keep(event: Event) -> None:
        if isinstance(event, Enter):
            rows.append(event.row)

    recorder = Recorder(dist.get_rank(), keep, shift_arrivals if case.shift else None)
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    try:
        with recorder.watching(), _unheard(case):
            seen = observer(answer, *args, **kwargs)
    except SystemExit as error:
        raise ExitedEarly(f"sys.exit({error.code!r})") from error
    unwaited = [f"{rows[k].op}, {rows[k].source}: {rows[k].code}" for k in recorder.unwaited()]
    seen |= {"handles": unwaited} if unwaited else {}
    return seen | {"ledger": [row for row in rows if row.op != "new_group"]}


def _observe(answer: Answer, observer: Observer, case: Case) -> Observation:
    torch.default_generator.manual_seed(0)
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    try:
        with _unheard(case):
            return (shifted(observer) if case.shift else observer)(answer, *args, **kwargs)
    except SystemExit as error:
        return {"error": Failure("SystemExit", f"sys.exit({error.code!r})", _where(error, answer))}
    except Exception as error:
        return {"error": Failure(type(error).__name__, first_line(str(error)), _where(error, answer))}


def _unheard(case: Case) -> contextlib.AbstractContextManager:
    """What an answer prints of shifted numbers would puzzle its reader."""
    return contextlib.redirect_stdout(io.StringIO()) if case.shift else contextlib.nullcontext()


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
