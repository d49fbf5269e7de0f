"""One JupyterLab for all browser tests, on a copy of the course, and a fresh Chromium tab for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tplearn.course.copy import update

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = Path(__file__).parent / "screenshots"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served: a reader's copy of the course, under a name that not every tool likes."""
    copy = tmp_path_factory.mktemp("course") / "mein Kurs α"
    update(copy, ROOT)
    return copy


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
