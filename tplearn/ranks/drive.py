"""One loop that looks after runs that are under way side by side."""

import contextlib
from collections.abc import Sequence
from multiprocessing import connection

from tplearn.ranks.errors import RankError
from tplearn.ranks.run import Run
from tplearn.ranks.supervise import Steps

LOOK_SECONDS = 0.05  # so long nothing need be ready: then every run looks at its clock


def drive(runs: Sequence[Steps]) -> list[Run | RankError]:
    """Go on with each run until all are over. A RankError is a run's outcome; the stop button ends every run."""
    outcomes: dict[int, Run | RankError] = {}
    waiting: dict[int, list] = {}

    def step(number: int, ready: list | None) -> None:
        waiting.pop(number, None)
        try:
            waiting[number] = runs[number].send(ready)
        except StopIteration as over:
            outcomes[number] = over.value
        except RankError as error:
            outcomes[number] = error

    try:
        for number in range(len(runs)):
            step(number, None)
        while waiting:
            asked = [one for of_run in waiting.values() for one in of_run]
            ready = set(connection.wait(asked, LOOK_SECONDS)) if asked else set()
            for number, of_run in list(waiting.items()):
                step(number, [one for one in of_run if one in ready])
    except BaseException as error:
        for run in runs:  # one that is over raises it at once
            with contextlib.suppress(BaseException):
                run.throw(error)
        raise
    return [outcomes[number] for number in range(len(runs))]
