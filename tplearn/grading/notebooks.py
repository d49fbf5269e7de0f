"""Executes notebooks, cleans what they store, compares: `python -m tplearn.grading.notebooks chapters solutions`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from tplearn.grading.release import as_text, stamp, tags
from tplearn.page import is_folded

IGNORED = "nbval-ignore-output"  # the cell tag: what this cell shows differs from run to run, and is not stored
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
QUIET_KERNEL = ["--log-level=ERROR"]  # a kernel's warnings about its transport are no concern of a reader


def execute(notebook: NotebookNode, folder: Path, timeout: int = 60, done: Callable[[], object] | None = None) -> None:
    """Run all cells in a fresh kernel whose working folder is `folder`; errors are stored as outputs.

    Raises:
        nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError: as they say; timeout is for one cell.
    """
    client = client_for(notebook, folder, timeout)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            if done:
                done()


def client_for(notebook: NotebookNode, folder: Path, timeout: int, interrupt: bool = False) -> NotebookClient:
    """An nbclient that stores errors, leaves no times in the metadata, and may interrupt a cell that takes too long."""
    return NotebookClient(
        notebook,
        timeout=timeout,
        interrupt_on_timeout=interrupt,
        allow_errors=True,
        record_timing=False,
        kernel_name="python3",
        extra_arguments=QUIET_KERNEL,
        resources={"metadata": {"path": str(folder)}},
    )


def clean(notebook: NotebookNode) -> None:
    """Keep only what is the same on the next machine: no times, no widget state, one stream where there were several.

    Cells with the tag nbval-ignore-output are stored without outputs. Cell ids, tags and nbgrader's metadata stay.
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in ("nbgrader", "tags")})
        if cell.cell_type == "code":
            cell.outputs = [] if IGNORED in tags(cell) else _merged(cell.outputs)


def differences(stored: NotebookNode, fresh: NotebookNode) -> list[str]:
    """What differs between two runs of one notebook, one line for each cell; outputs of ignored cells do not count."""
    if len(stored.cells) != len(fresh.cells):
        return [f"{len(stored.cells)} cells are stored, {len(fresh.cells)} were run"]
    found = []
    for index, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True), start=1):
        if old.source != new.source:
            found.append(f"cell {index}: the source differs")
        elif old.cell_type == "code" and IGNORED not in tags(old) and visible(old) != visible(new):
            found.append(f"cell {index}: the output differs: {visible(old)!r} is stored, {visible(new)!r} came out")
    return found


def visible(cell: NotebookNode) -> list[tuple[str, str]]:
    """A code cell's outputs as (kind, text), also those that are folded; a picture is only its kind: fonts differ."""
    seen = []
    for output in _merged(cell.outputs):
        if output.output_type == "stream":
            seen.append((output.name, output.text))
        elif output.output_type == "error":
            seen.append(("error", f"{output.ename}: {output.evalue}"))
        elif is_folded(output):
            seen.append(("folded", output.data["text/plain"]))
        else:
            kinds = sorted(output.data)
            seen.append(("+".join(kinds), output.data.get("text/plain", "") if kinds == ["text/plain"] else ""))
    return seen


def restore(path: Path, timeout: int = 120, done: Callable[[], object] | None = None) -> list[str]:
    """Execute a notebook and store it clean; the problems found (errors, text on stderr). With problems, not stored."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, timeout, done)
    clean(notebook)
    problems = list(_problems(notebook))
    if not problems:
        if path.parent.name == "solutions":
            stamp(notebook, path.name)
        path.write_text(as_text(notebook), encoding="utf-8")
    return problems


def _problems(notebook: NotebookNode) -> Iterator[str]:
    for index, cell in enumerate(notebook.cells, start=1):
        for kind, text in visible(cell) if cell.cell_type == "code" else []:
            if kind in ("error", "stderr"):
                yield f"cell {index}: {kind}: {text.strip()}"


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream become one: how a kernel cuts them depends on time."""
    merged: list[NotebookNode] = []
    for output in outputs:
        output = nbformat.from_dict({key: value for key, value in output.items() if key != "transient"})
        last = merged[-1] if merged else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def main(names: list[str]) -> int:
    """Execute and store notebooks, given by name or by folder, with a progress bar; 1 if any has a problem."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from rich.console import Console
    from rich.progress import Progress

    given = [Path(name) for name in names]
    if missing := [str(part) for part in given if not part.exists()]:
        sys.exit(f"no notebook or folder of that name: {', '.join(missing)}")
    paths = [path for part in given for path in (sorted(part.glob("*.ipynb")) if part.is_dir() else [part])]
    console, failed = Console(), False
    with Progress(console=console) as progress:
        for path in paths:
            task = progress.add_task(str(path), total=len(nbformat.read(path, as_version=4).cells))
            try:
                problems = restore(path, done=lambda task=task: progress.advance(task))
            except (CellTimeoutError, DeadKernelError, CellExecutionError) as error:
                problems = [str(error).strip().splitlines()[0]]
            for problem in problems:
                console.print(f"{path}: {problem}", markup=False, style="red")
            failed |= bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["chapters", "solutions"]))
