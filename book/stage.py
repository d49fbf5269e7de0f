"""A notebook of the course becomes a page of the book: outputs wait behind Run, widgets live, a row says where it runs.

Pure functions on notebooks; Sphinx knows nothing of them, nor they of Sphinx.
"""

import html
import re

import nbformat
from nbformat import NotebookNode

from book.addresses import Addresses
from tplearn.page import MARK, is_folded

RUN = "Run"
WIDGETS = "../_static/widgets/"
VERDICT = "What a right answer prints"
FOR_THE_KERNEL = {MARK, "%load_ext tplearn.page"}  # lines that say nothing to a reader of a page
WIDGET = re.compile(r"^(?:(\w+)\.show|(memory_planner))\(.*\)$")


def page(notebook: NotebookNode, path: str, places: Addresses) -> NotebookNode:
    """The page of the notebook that is stored under `path` ("chapters/04_collectives.ipynb"). `notebook` stays."""
    made = nbformat.from_dict(notebook)
    is_exercise = path.startswith("exercises/")
    made.cells = [kept for cell in made.cells if (kept := _cell(cell, is_exercise)) is not None]
    made.cells[0].source = with_launch_row(made.cells[0].source, path, places)
    made.cells.append(nbformat.v4.new_markdown_cell(report_line(path, places), id="report"))
    return made


def widget_of(source: str) -> str | None:
    """The name of the widget that a code cell shows: "ring_stepper" for a cell that ends in ring_stepper.show()."""
    lines = source.strip().splitlines()
    found = WIDGET.match(lines[-1]) if lines else None
    return (found[1] or found[2]) if found else None


def fold(name: str, text: str) -> NotebookNode:
    """An output that waits until a reader opens it: no script, and a printer shows it open.

    Not MyST-NB's own `hide-output`: it is named "Toggle hidden content", and not valid HTML.
    """
    kind = "run" if name == RUN else "run verdict"
    body = html.escape(text.removesuffix("\n"), quote=False)
    markup = f'<details class="{kind}"><summary>{name}</summary><pre>{body}</pre></details>'
    return nbformat.v4.new_output("display_data", {"text/html": markup, "text/plain": text})


def player(widget: str) -> NotebookNode:
    """The widget without a kernel: the element that plays its recorded states; without scripts, a picture of one."""
    picture = f'<img src="{WIDGETS}{widget}.svg" alt="{widget.replace("_", " ")}, as it starts">'
    markup = f'<tp-player data-widget="{widget}" src="{WIDGETS}"><noscript>{picture}</noscript></tp-player>'
    return nbformat.v4.new_output("display_data", {"text/html": markup, "text/plain": f"the widget {widget}"})


def with_launch_row(source: str, path: str, places: Addresses) -> str:
    """The first cell with links to the places where the notebook runs, under its title and the line below that."""
    links = {
        "Colab": (places.colab(path), "runs at once, on a copy of your own"),
        "Binder": (places.binder(path), "runs after some minutes, without an account"),
        "Codespaces": (places.codespaces, "the whole course in an editor"),
        "Source": (places.source(path), "the notebook on GitHub"),
        "Download": (f"../downloads/{path}", "a copy that stands alone"),
    }
    row = "\n".join(
        f'<a href="{html.escape(address)}" title="{hint}">{label}</a>' for label, (address, hint) in links.items()
    )
    title, *rest = source.split("\n\n")
    launch = f'<nav class="launch" aria-label="Run this page">\n{row}\n</nav>'
    return "\n\n".join([title, *rest[:1], launch, *rest[1:]])


def report_line(path: str, places: Addresses) -> str:
    """The last line of a page, for whoever has found something wrong on it."""
    return f'<p class="report"><a href="{html.escape(places.report(path))}">Report a problem on this page</a></p>'


def _cell(cell: NotebookNode, is_exercise: bool) -> NotebookNode | None:
    """One cell as the page shows it, or None where nothing is left of it."""
    if cell.cell_type != "code":
        return cell
    cell.source = "\n".join(line for line in cell.source.splitlines() if line.rstrip() not in FOR_THE_KERNEL)
    if widget := widget_of(cell.source):
        cell.outputs = [player(widget)]
    elif is_exercise:
        cell.outputs = [fold(VERDICT, _text(output)) for output in cell.outputs]
    else:
        cell.outputs = [fold(RUN, _text(output)) if is_folded(output) else output for output in cell.outputs]
    return cell if cell.source.strip() else None


def _text(output: NotebookNode) -> str:
    """What an output says in plain text."""
    return output.text if output.output_type == "stream" else output.data["text/plain"]
