"""What runs in the child process or on each rank: answers on cases. It imports no reference and no mutant."""

import copy
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case
from tplearn.checks.observe import Observation, Observer
from tplearn.checks.probe import shift_arrivals
from tplearn.ranks.events import Enter, Event
from tplearn.ranks.ledger import Row
from tplearn.ranks.recorder import Recorder

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


@dataclass(frozen=True)
class OnRank:
    """What a rank runs: each answer on each case, with a ledger of its own.

    shift: see tplearn.checks.probe. trusted: an error of the course's own answer is an observation; a reader's ends the
    run, because the other ranks may wait for this one.
    """

    answers: tuple[Answer, ...]
    observer: Observer
    shift: bool = False
    trusted: bool = False

    @property
    def reader(self) -> Answer:
        """Whose lines a report is about."""
        return self.answers[0]

    def __call__(self, cases: list[Case]) -> list[list[Observation]]:
        """By answer, then by case."""
        # A verdict is the same text everywhere; torch's warnings name files of this machine.
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)  # as above
        return [[self._one(answer, case) for case in cases] for answer in self.answers]

    def _one(self, answer: Answer, case: Case) -> Observation:
        torch.set_default_dtype(torch.float32)  # an observer may have set another
        torch.default_generator.manual_seed(0)
        rows: list[Row] = []

        def keep(event: Event) -> None:
            if isinstance(event, Enter):
                rows.append(event.row)

        recorder = Recorder(dist.get_rank(), keep, shift_arrivals if self.shift else None)
        args, kwargs = copy.deepcopy((case.args, case.kwargs))
        try:
            with recorder.watching():
                seen = self.observer(answer, *args, **kwargs)
        except SystemExit as error:
            raise ExitedEarly(f"sys.exit({error.code!r})") from error
        except Exception as error:
            if not self.trusted:
                raise
            return {"error": Failure(type(error).__name__, first_line(str(error)))}
        unwaited = [f"{rows[k].op}, {rows[k].source}: {rows[k].code}" for k in recorder.unwaited()]
        seen |= {"handles": unwaited} if unwaited else {}
        return seen | {"ledger": [row for row in rows if row.op != "new_group"]}


def _observe(answer: Answer, observer: Observer, case: Case) -> Observation:
    torch.default_generator.manual_seed(0)
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    try:
        return observer(answer, *args, **kwargs)
    except SystemExit as error:
        return {"error": Failure("SystemExit", f"sys.exit({error.code!r})", _where(error, answer))}
    except Exception as error:
        return {"error": Failure(type(error).__name__, first_line(str(error)), _where(error, answer))}


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


def first_line(text: str) -> str:
    """Of an error's message, where it has one."""
    return text.strip().splitlines()[0] if text.strip() else ""
