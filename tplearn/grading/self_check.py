"""`tplearn check 02`: runs the reader's exercise notebook in a fresh kernel and prints every verdict and the total."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from rich.console import Console

from tplearn.checks.registry import exercises
from tplearn.course.places import exercises_folder
from tplearn.grading.notebooks import client_for, visible
from tplearn.grading.release import CHECK

CELL_SECONDS = 60


def check_notebook(number: str, folder: Path | None = None, cell_seconds: int = CELL_SECONDS) -> int:
    """Print the verdicts of exercises/<number>_*.ipynb; 0 if every exercise passes, 1 if not.

    Args:
        number: the chapter's, such as "02" or "2".
        folder: where the exercise notebooks are; by default in the reader's copy, wherever this is called from.
        cell_seconds: time limit of one cell.

    Raises:
        ValueError: no exercise notebook has that number; the message lists those there are.
        FileNotFoundError: no folder of exercises is found.
    """
    path = _find(number, folder or exercises_folder())
    due = exercises(path.name[:2])
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Checking {path}", markup=False)
    verdicts = _run(path, console, cell_seconds)
    for exercise in due:
        if exercise.name not in verdicts:
            console.print(f"{exercise.name}   no check cell was run      0/{exercise.points}", style="red")
    passed = [exercise for exercise in due if verdicts.get(exercise.name)]
    earned, total = sum(e.points for e in passed), sum(e.points for e in due)
    done = len(passed) == len(due)
    console.print(f"{path.stem}: {len(passed)} of {len(due)} exercises pass, {earned} of {total} points", style="bold")
    return 0 if done else 1


def _run(path: Path, console: Console, cell_seconds: int) -> dict[str, bool]:
    """Run the notebook and print each verdict when it comes: {exercise's name: passed}."""
    notebook = nbformat.read(path, as_version=4)
    points = {exercise.name: exercise.points for exercise in exercises(path.name[:2])}
    client: NotebookClient = client_for(notebook, path.parent, cell_seconds)
    verdicts: dict[str, bool] = {}
    trouble = ""
    try:
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type != "code":
                    continue
                client.execute_cell(cell, index)
                trouble = trouble or _error(cell)
                for name in CHECK.findall(cell.source):
                    text = "".join(text for kind, text in visible(cell) if kind == "stdout").strip()
                    head = text.partition("\n")[0]
                    full = f" {points.get(name)}/{points.get(name)}"
                    verdicts[name] = head.startswith(f"{name} ") and head.endswith(full)
                    if not text:
                        text = f"{name}   error      0/{points.get(name)}\n  {trouble or 'The check printed nothing.'}"
                    console.print(text, markup=False, style="green" if verdicts[name] else "red")
                    trouble = ""
    except DeadKernelError:
        console.print(f"The kernel died in cell {index + 1}. What comes after it was not run.", style="red")
    except CellTimeoutError:
        console.print(
            f"Cell {index + 1} took longer than {cell_seconds} s. What comes after it was not run.", style="red"
        )
    return verdicts


def _error(cell: NotebookNode) -> str:
    """The cell's error in one line, or nothing."""
    return next((f"A cell above raised {text.splitlines()[0]}" for kind, text in visible(cell) if kind == "error"), "")


def _find(number: str, folder: Path) -> Path:
    wanted = number.zfill(2)
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    match = [path for path in found if path.name.startswith(f"{wanted}_")]
    if not match:
        there = ", ".join(path.name[:2] for path in found) or "none"
        raise ValueError(f"no exercises have the number {number!r} in {folder}; there are: {there}")
    return match[0]
