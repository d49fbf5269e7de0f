"""Answers to predictions are stored closed; in front of a person they are open. Seen in a real kernel."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, output_from_msg

from tests.notebooks.test_notebooks import CHAPTERS, code_cells, each
from tests.notebooks.under_nbval import run_nbval
from tplearn.grading.notebooks import QUIET_KERNEL, differences, restore, visible
from tplearn.page import folded, is_folded, is_predicted, load_ipython_extension

LOAD = "%load_ext tplearn.page"
PREDICTION = re.compile(r"^> \*\*Predict\.\*\*", re.M)
BOX = re.compile(r"^> \*\*(Predict|Your turn)\.\*\*", re.M)
HEADING = re.compile(r"^#+ ", re.M)
Show = Callable[..., list[NotebookNode]]


def answers(notebook: NotebookNode, box: re.Pattern[str] = PREDICTION) -> list[str]:
    """After a box, up to the next box or heading: the first cell that shows something."""
    found, asked = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            boxes, headings = ([at.start() for at in mark.finditer(cell.source)] for mark in (box, HEADING))
            if boxes or headings:
                asked = max(boxes, default=-1) > max(headings, default=-1)
        elif asked and cell.outputs:
            asked = False
            found.append(cell.source)
    return found


@each(CHAPTERS)
def test_in_a_chapter_the_answers_to_predictions_are_folded_and_nothing_else(path: Path) -> None:
    assert code_cells(path)[0].source.startswith(f"{LOAD}\n")
    notebook = nbformat.read(path, as_version=4)
    marked = [cell.source for cell in code_cells(path) if is_predicted(cell.source)]
    still_open = [source for source in answers(notebook) if source not in marked]
    assert not still_open, "these answer a prediction: begin them with # predicted"
    assert marked and set(marked) <= set(answers(notebook, BOX)), "these are marked, and answer nothing"
    for cell in code_cells(path):
        assert {is_folded(output) for output in cell.outputs} <= {is_predicted(cell.source)}, cell.source


def test_which_cells_answer_a_prediction() -> None:
    shown = [new_output("stream", text="1")]
    box, answer = new_markdown_cell("text\n\n> **Predict.** What?"), new_code_cell("1", outputs=shown)
    between = new_markdown_cell("more"), new_code_cell("def f(): ...")
    turn = new_markdown_cell("> **Your turn.** Mend it.")
    heading_first, heading_last = new_markdown_cell("# H\n> **Predict.**"), new_markdown_cell("> **Predict.**\n\n## H")
    for cells, found in (
        ((box, answer), 1),
        ((box, *between, answer, answer), 1),
        ((heading_first, answer), 1),
        ((box, turn, answer), 1),
        ((turn, answer), 0),
        ((heading_last, answer), 0),
        ((box, new_markdown_cell("## Another matter"), answer), 0),
        ((box, answer, box, answer), 2),
    ):
        assert len(answers(NotebookNode(cells=cells))) == found
    assert len(answers(NotebookNode(cells=(box, answer, turn, answer)), BOX)) == 2


@pytest.fixture(scope="module")
def show() -> Iterator[Show]:
    """show(source, person=True) is what a cell shows when a front end runs it, which sends the cell's id along."""
    manager, client = start_new_kernel(extra_arguments=QUIET_KERNEL)

    def run(source: str, person: bool = False) -> list[NotebookNode]:
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        metadata = {"cellId": "cell-1"} if person else {}
        request = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(request)
        shown = []
        while True:
            message = client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return shown
            if message["msg_type"] in ("stream", "error", "display_data", "execute_result"):
                shown.append(output_from_msg(message))

    assert run(LOAD) == []
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def seen(outputs: list[NotebookNode]) -> list[tuple[str, str]]:
    return visible(new_code_cell(outputs=outputs))


EVERYTHING = "# predicted\nprint('a < b')\nfrom IPython.display import display\ndisplay(7)\nprint('c')\n{'d': 1}"


def test_a_marked_cell_is_one_closed_output_for_a_program_and_open_for_a_person(show: Show) -> None:
    (output,) = show(EVERYTHING)
    assert output.data["text/plain"] == "a < b\n7\nc\n{'d': 1}"
    assert output.data["text/html"].startswith("<details><summary>output</summary><pre>a &lt; b")
    assert is_folded(output) and seen([output]) == [("folded", output.data["text/plain"])]
    as_any = show(EVERYTHING.replace("# predicted", "# shown"))
    assert seen(show(EVERYTHING, person=True)) == seen(as_any)
    assert [output.output_type for output in as_any] == ["stream", "display_data", "stream", "execute_result"]


@pytest.mark.parametrize("source", ["x = 1\n# predicted\nx", "x = 1  # predicted\nx", "# predicted by you\n1", "1"])
def test_a_cell_without_the_mark_on_its_first_line_is_open(show: Show, source: str) -> None:
    assert [output.output_type for output in show(source)] == ["execute_result"]


def test_a_marked_cell_that_shows_nothing_stores_nothing(show: Show) -> None:
    assert show("# predicted\nx = 1") == []


@pytest.mark.parametrize(
    "fault", ["1 / 0", "raise SystemExit", "await None", "raise KeyboardInterrupt", "import no_such", "f("]
)
def test_an_error_in_a_marked_cell_shows_as_in_any_cell(show: Show, fault: str) -> None:
    source = f"# predicted\nprint('before')\ndisplay(7)\n{fault}"
    stored, live = ([out for out in show(source, person=person) if out.get("name") != "stderr"] for person in (0, 1))
    assert stored[-1].output_type == "error"
    assert seen(stored) == seen(live)
    assert seen(show("print('after')")) == [("stdout", "after\n")]
    assert [kind for kind, _ in seen(show("# predicted\nprint('next')"))] == ["folded"]


def test_prints_of_ranks_threads_and_coroutines_are_folded_and_stderr_is_not(show: Show) -> None:
    (output,) = show(
        "# predicted\nimport asyncio, sys, threading\nfrom tplearn import run_ranks\n"
        "def speak():\n    print('rank')\n"
        "run = run_ranks(speak, 2)\nthread = threading.Thread(target=print, args=('thread',))\n"
        "thread.start(); thread.join()\nawait asyncio.sleep(0)\nprint('flushed', flush=True)"
    )
    assert output.data["text/plain"] == "[rank 0] rank\n[rank 1] rank\nthread\nflushed"
    assert ("stderr", "loud\n") in seen(show("# predicted\nprint('quiet')\nprint('loud', file=sys.stderr)"))


def test_a_figure_and_a_table_are_folded_too(show: Show) -> None:
    source = "# predicted\nimport matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)); plt.plot([1, 2]);"
    (output,) = show(source)
    assert is_folded(output) and '<img src="data:image/png;base64,iVBOR' in output.data["text/html"]
    (output,) = show("# predicted\nfrom IPython.display import SVG\nSVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')")
    assert '<img src="data:image/svg+xml;base64,PHN2Z' in output.data["text/html"]
    (output,) = show("# predicted\nfrom IPython.display import HTML\nHTML('<b>bold</b>')")
    assert output.data["text/html"].endswith("<b>bold</b></details>")


def test_the_first_cell_may_run_again(show: Show) -> None:
    assert show(f"{LOAD}\nimport sys") == []
    assert len(show(EVERYTHING)) == 1, "loading twice shows nothing twice"


def test_a_kernel_that_cannot_hold_outputs_back_shows_them() -> None:
    old = SimpleNamespace(kernel=None, displayhook=SimpleNamespace())  # as of ipykernel 6: no register_hook
    load_ipython_extension(old)
    assert not hasattr(old, "tplearn_page")


def test_a_folded_output_says_what_was_shown_to_readers_and_to_programs() -> None:
    data = folded(["one\ntwo\n", {"text/plain": "<Figure>", "image/png": "AAAA\n"}, {"text/plain": "3"}])
    assert data["text/plain"] == "one\ntwo\n<Figure>\n3"
    assert data["text/html"] == (
        "<details><summary>output</summary><pre>one\ntwo</pre>"
        '<img src="data:image/png;base64,AAAA" alt="&lt;Figure&gt;"><pre>3</pre></details>'
    )


def test_folded_outputs_are_stored_compared_and_nbval_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "small.ipynb"
    cells = [new_code_cell(source) for source in (LOAD, "# predicted\nprint(1)", "# predicted\n[2]", "3")]
    nbformat.write(new_notebook(cells=cells), path)
    assert restore(path) == []
    stored = nbformat.read(path, as_version=4)
    assert [visible(cell) for cell in stored.cells] == [
        [],
        [("folded", "1")],
        [("folded", "[2]")],
        [("text/plain", "3")],
    ]
    other = nbformat.from_dict(stored)
    other.cells[1].outputs[0].data = folded(["another number\n"])
    assert [text[:7] for text in differences(stored, other)] == ["cell 2:"]
    nbformat.write(other, path)
    outcome = run_nbval([path], "--nbval", tmp_path)
    assert (outcome["tests"], outcome["failures"], outcome["errors"]) == (4, 1, 0), outcome["output"]
