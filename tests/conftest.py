"""What all tests share: the server of the ranks, and a closing line that says which tests wanted Chromium."""

import os
import shutil

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers fill the cores: more threads would wait for each other

from tplearn.forkserver import warm_up

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW_TO_GET_CHROMIUM = "Chromium is missing, so the browser tests were skipped; on Debian: apt install chromium"


@pytest.fixture(scope="session", autouse=True)
def server_with_all_loaded() -> None:
    """One server serves all tests of a process: a command, tested first, would start one that has little loaded."""
    warm_up()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Skips the browser tests where Chromium is missing, and keeps them on one xdist worker: they share a server."""
    if item.get_closest_marker("browser") is not None:  # xdist reads the groups when all is collected
        item.add_marker(pytest.mark.xdist_group("browser"))
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason=HOW_TO_GET_CHROMIUM))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(HOW_TO_GET_CHROMIUM in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(HOW_TO_GET_CHROMIUM)
