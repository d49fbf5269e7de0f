"""How long a reader waits for a verdict: `python benchmarks/checks.py [--repeats 3] [--chapters 06 07]`.

For each chapter the median over its exercises: a right answer (the reference), a wrong one that equals a mutant (all of
them are searched), and a wrong one that equals none. Beside them, in the same run, what starting the ranks alone takes:
four ranks that meet in one all_reduce and end.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tplearn import run_ranks
from tplearn.checks import Exercise, exercises, judge

AIMS = "aims: right, simulated < 0.15 s; right, on ranks < 1.2 s; wrong < 3 s"


def nothing(*args: object, **kwargs: object) -> None:
    """Wrong in a way that no mutant is."""


def meet() -> None:
    dist.all_reduce(torch.ones(4))


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def of_exercise(exercise: Exercise, repeats: int) -> dict[str, float]:
    """Median seconds of each kind of answer, in turns."""
    answers = {"right": exercise.reference, "wrong, named": exercise.mutants[0].answer, "wrong, unknown": nothing}
    times: dict[str, list[float]] = {kind: [] for kind in answers}
    for _ in range(repeats):
        for kind, answer in answers.items():
            times[kind].append(seconds(lambda answer=answer: judge(exercise, answer)))
    return {kind: statistics.median(taken) for kind, taken in times.items()}


def main() -> None:
    """Print a line for each chapter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chapters", nargs="+", default=None)
    options = parser.parse_args()
    chosen = [e for e in exercises() if options.chapters is None or e.number[:2] in options.chapters]
    run_ranks(meet, 2)  # the server starts once for a session
    for exercise in chosen[:1]:
        judge(exercise, exercise.reference)
    table = Table("chapter", "runs on", "exercises", "right s", "wrong, named s", "wrong, unknown s", "slowest")
    found: dict[tuple[str, str], list[tuple[dict[str, float], str]]] = {}
    for exercise in track(chosen, description="exercises", console=Console(stderr=True)):
        key = exercise.number[:2], "ranks" if exercise.ranks else "simulated"
        found.setdefault(key, []).append((of_exercise(exercise, options.repeats), exercise.name))
    for (chapter, where), entries in sorted(found.items()):
        medians = [statistics.median(times[kind] for times, _ in entries) for kind in entries[0][0]]
        slowest = max(entries, key=lambda entry: entry[0]["right"])
        table.add_row(
            chapter,
            where,
            str(len(entries)),
            *(f"{median:.2f}" for median in medians),
            f"{slowest[1]} {slowest[0]['right']:.2f}",
        )
    console = Console(width=110)
    console.print(table)
    console.print(AIMS)
    start = statistics.median(seconds(lambda: run_ranks(meet, 4)) for _ in range(2 * options.repeats + 1))
    console.print(f"four ranks start, meet in one all_reduce and end: {start:.3f} s")


if __name__ == "__main__":
    main()
