"""What all tests share: one closing line that says which tests Chromium would have allowed."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW_TO_GET_CHROMIUM = "Chromium is missing, so the browser tests were skipped; on Debian: apt install chromium"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the browser tests where Chromium is missing, and keeps them on one xdist worker: they share a server."""
    for item in items:
        if item.get_closest_marker("browser") is None:
            continue
        item.add_marker(pytest.mark.xdist_group("browser"))
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason=HOW_TO_GET_CHROMIUM))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(HOW_TO_GET_CHROMIUM in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(HOW_TO_GET_CHROMIUM)
