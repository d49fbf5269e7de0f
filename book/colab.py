"""Copies of the notebooks that run where nothing of the course is installed: `python -m book.colab OUT`.

The book's workflow pushes them to the branch that Colab opens, and the book offers them for download.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.addresses import ROOT, Addresses, addresses

PARTS = ("chapters", "exercises")
FIGURE = re.compile(r"\]\(\.\./figures/([\w.-]+)\)")
NOTEBOOK = re.compile(r"\]\((?:\.\./(chapters|exercises)/)?([\w-]+\.ipynb)\)")
# Without its dependencies: Colab has them, in versions that its own kernel needs.
INSTALL = "%pip install -q --no-deps git+{repository}"


def copy(notebook: NotebookNode, path: str, places: Addresses) -> NotebookNode:
    """The copy of the notebook stored under `path`: it installs tplearn first, and its links work from anywhere."""
    made = nbformat.from_dict(notebook)
    part = path.partition("/")[0]
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = FIGURE.sub(rf"]({places.pages}_images/\1)", cell.source)
            cell.source = NOTEBOOK.sub(
                lambda found: f"]({places.colab(f'{found[1] or part}/{found[2]}')})",
                cell.source,
            )
    install = nbformat.v4.new_code_cell(INSTALL.format(repository=places.repository), id="install")
    made.cells.insert(0, install)
    return made


def write(out: Path, root: Path, places: Addresses) -> list[Path]:
    """Write the copy of every chapter and exercise under `out`; the files written."""
    written = []
    for part in PARTS:
        for source in sorted((root / part).glob("*.ipynb")):
            path = f"{part}/{source.name}"
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(copy(nbformat.read(source, as_version=4), path, places), target)
            written.append(target)
    return written


def main(names: list[str]) -> int:
    """Write the copies into the folder that is named."""
    if len(names) != 1:
        print("usage: python -m book.colab OUT (a folder for the copies)", file=sys.stderr)
        return 2
    print(f"{len(write(Path(names[0]), ROOT, addresses()))} notebooks in {names[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
