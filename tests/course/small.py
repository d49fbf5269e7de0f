"""A course of three pages, a script and a picture, in which a test can change what it likes."""

import json
from pathlib import Path

CHAPTER, EXERCISE, SCRIPT, PICTURE = "chapters/01_a.ipynb", "exercises/01_a.ipynb", "chapters/05_b.py", "figures/a.svg"
ANSWERED = "def f():\n    return 'the reader’s own words'"


def page(*sources: str, outputs: str = "", **metadata: object) -> str:
    """A notebook with these code cells, of which the last shows `outputs`."""
    cells = [
        {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "source": source, "outputs": []}
        | {"execution_count": number if outputs else None}
        for number, source in enumerate(sources)
    ]
    if outputs:
        cells[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": outputs}]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sources(path: Path) -> list[str]:
    """Of a notebook's cells."""
    return ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def shown(path: Path) -> str:
    """What the last cell of a notebook shows."""
    outputs = json.loads(path.read_text(encoding="utf-8"))["cells"][-1]["outputs"]
    return "".join("".join(output["text"]) for output in outputs)


def make_course(folder: Path) -> Path:
    write(folder, CHAPTER, page("1 + 1", "print('chapter')", outputs="chapter\n"))
    write(folder, EXERCISE, page("def f(): ...", "check(f)", outputs="f   5/5\n"))
    write(folder, SCRIPT, "print('ring')\n")
    write(folder, PICTURE, "<svg/>\n")
    write(folder, "solutions/01_a.ipynb", page("def f():\n    return 1", "check(f)", outputs="f   5/5\n"))
    write(folder, "figures/make_figures.py", "no picture")
    (folder / "tplearn").mkdir()
    return folder


def answer(path: Path) -> None:
    """What a reader does: another source in the first cell."""
    write(path.parent, path.name, page(ANSWERED, *sources(path)[1:], outputs="f   0/5\n"))


def run(path: Path) -> None:
    """What a reader does first: other outputs, the same sources."""
    write(path.parent, path.name, page(*sources(path), outputs="what the reader saw\n"))
