"""One JupyterLab for all browser tests, on a copy of the chapters, and a fresh Chromium tab for each test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = Path(__file__).parent / "screenshots"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served: the chapters without outputs, and what they show or run."""
    from benchmarks.lab_page import copy_unrun

    folder = tmp_path_factory.mktemp("course")
    (folder / "chapters").mkdir()
    for notebook in (ROOT / "chapters").glob("*.ipynb"):
        copy_unrun(notebook, folder / "chapters" / notebook.name)
    for script in (ROOT / "chapters").glob("*.py"):
        shutil.copy(script, folder / "chapters" / script.name)
    shutil.copytree(ROOT / "figures", folder / "figures")
    return folder


@pytest.fixture(scope="session")
def lab(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:  # noqa: F821
    """A running server on `served`, with settings and runtime files of its own."""
    from benchmarks.lab_page import serve

    with serve(served, tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture
def tab() -> Iterator["Page"]:  # noqa: F821
    from benchmarks.lab_page import browser_tab

    with browser_tab() as page:
        yield page


@pytest.fixture
def screenshot(tab: "Page", request: pytest.FixtureRequest) -> Callable[[str], None]:  # noqa: F821
    """screenshot("widget") keeps a picture of what the tab shows now, to be looked at by people."""

    def take(name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        test = request.node.name.translate(str.maketrans("[]/.", "____")).split("@")[0].strip("_")
        tab.screenshot(path=SCREENSHOTS / f"{test}-{name}.png")

    return take
