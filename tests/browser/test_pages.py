"""The pages as a reader meets them: in JupyterLab, in a browser, run from top to bottom, the widget moved."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("playwright", reason="the dev extra is not installed")

from playwright.sync_api import Page, expect  # noqa: E402

from benchmarks.lab_page import (  # noqa: E402
    Server,
    error_texts,
    forget_outputs,
    move_slider,
    open_notebook,
    run_all,
    widget_cells,
)

# One server for all of them: each worker would start its own.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SMALL_WIDGET = """
import ipywidgets, matplotlib.pyplot as plt
@ipywidgets.interact(n=(1, 5))
def draw(n=5):
    plt.figure(figsize=(2, 1)); plt.plot(range(n)); plt.show()
"""


def make_notebook(folder: Path, name: str, *cells: str) -> None:
    """A notebook with one markdown cell (a folded answer) and the given code cells."""
    folded = "**Predict.** <details><summary>Answer</summary>forty-two</details>"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(folded)])
    made.cells += [nbformat.v4.new_code_cell(cell.strip()) for cell in cells]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, folder / name)


def open_every_fold(tab: Page) -> int:
    """Clicks each <summary>, and sees that what was folded shows. Returns how many there are."""
    folds = tab.locator(".jp-RenderedMarkdown details").all()
    for fold in folds:
        fold.scroll_into_view_if_needed()
        before = fold.bounding_box()
        fold.locator("summary").click()
        assert fold.evaluate("node => node.open")
        after = fold.bounding_box()
        assert before and after and after["height"] > before["height"], f"nothing unfolds: {fold.inner_text()!r}"
    return len(folds)


def test_a_small_page_runs_unfolds_and_redraws(lab: Server, served: Path, tab: Page) -> None:
    make_notebook(served, "small.ipynb", "print('hello')", SMALL_WIDGET)
    open_notebook(tab, lab, "small.ipynb")
    run_all(tab)
    expect(tab.get_by_text("hello", exact=True)).to_be_visible()
    assert open_every_fold(tab) == 1
    (cell,) = widget_cells(tab)
    assert move_slider(cell) < 5


def test_these_tests_see_an_error_and_a_picture_that_stays(lab: Server, served: Path, tab: Page) -> None:
    make_notebook(served, "broken.ipynb", SMALL_WIDGET.replace("range(n)", "range(3)"), "1 / 0", "print('never')")
    open_notebook(tab, lab, "broken.ipynb")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_all(tab)
    with pytest.raises(TimeoutError, match="did not change"):
        move_slider(widget_cells(tab)[0], seconds=1)


@pytest.mark.parametrize(("name", "has_widget"), [("00_start_here", False), ("02_column_row", True)])
def test_a_chapter_runs_from_top_to_bottom(
    name: str, has_widget: bool, lab: Server, served: Path, tab: Page, screenshot: Callable[[str], None]
) -> None:
    forget_outputs(served / f"chapters/{name}.ipynb")
    open_notebook(tab, lab, f"chapters/{name}.ipynb")
    screenshot("top")
    run_all(tab)
    assert not tab.locator(".jp-OutputArea details").count(), "who runs a cell sees what it shows, without a click"
    assert open_every_fold(tab) > 0, "a chapter has predictions with folded answers"
    broken = tab.locator(".jp-RenderedMarkdown img").evaluate_all(
        "nodes => nodes.filter(n => n.complete && !n.naturalWidth).map(n => n.src)"
    )
    assert not broken, f"pictures that do not load: {broken}"
    for cell in widget_cells(tab) if has_widget else []:
        assert not cell.get_by_text("javascript error").count(), "the browser cannot show a part of the widget"
        assert move_slider(cell) < 5
        screenshot("widget")
    assert not error_texts(tab)


@pytest.mark.parametrize("name", ["chapters/01_why_split", "exercises/02_column_row"])
def test_a_page_that_was_only_opened_is_unchanged_and_its_answers_are_closed(
    name: str, lab: Server, served: Path, tab: Page, screenshot: Callable[[str], None]
) -> None:
    before = (served / f"{name}.ipynb").read_bytes()
    open_notebook(tab, lab, f"{name}.ipynb")
    if name.startswith("chapters"):
        fold = tab.locator(".jp-OutputArea details").first
        fold.scroll_into_view_if_needed()
        screenshot("closed")
        expect(fold.get_by_text("embedding    1,050,673,152")).to_be_hidden()
        fold.locator("summary").click()
        expect(fold.get_by_text("embedding    1,050,673,152")).to_be_visible()
        screenshot("open")
    assert not tab.locator(".jp-mod-dirty").count(), "the tab is marked as changed"
    assert (served / f"{name}.ipynb").read_bytes() == before


def test_a_newcomer_sees_the_chapter_and_no_pop_up(lab: Server, tab: Page, screenshot: Callable[[str], None]) -> None:
    """Opens the address that `tplearn lab` prints, with settings nobody has touched."""
    tab.goto(f"http://127.0.0.1:{lab.port}/?token={lab.token}")
    tab.wait_for_url("**/lab/tree/chapters/00_start_here.ipynb**", timeout=30_000)
    tab.wait_for_selector(".jp-Notebook .jp-Cell, .jp-Dialog", timeout=30_000)
    tab.wait_for_timeout(4000)  # the question about news comes some seconds after the page
    screenshot("first-look")
    assert tab.locator(".jp-toastContainer, .Toastify__toast").count() == 0
    assert tab.get_by_text("notified about official Jupyter news").count() == 0
    assert tab.locator(".jp-Dialog").count() == 0
