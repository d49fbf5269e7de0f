"""A real JupyterLab with a real browser on it: serve a folder, open a notebook, run it, move its widget.

The browser tests and benchmarks/widgets.py share this. It wants the `dev` extra and Chromium.
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page, sync_playwright

from tplearn.lab import lab_command, lab_environment

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
ERROR_OUTPUT = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
WATCH = """cell => {
    const shown = () => [...cell.querySelectorAll(".jp-OutputArea img")].map(picture => picture.src).join();
    const before = shown();
    cell.addEventListener("keydown", () => { cell.movedAt = performance.now() }, {capture: true, once: true});
    cell.redrawn = new Promise(done => cell.addEventListener("load", () => {
        if (shown() != before) done(performance.now() - cell.movedAt);
    }, {capture: true}));
}"""
REDRAWN = """(cell, limit) =>
    Promise.race([cell.redrawn, new Promise(done => setTimeout(() => done(null), limit))])"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: where it listens, the token it asks for, its process id."""

    port: int
    token: str
    pid: int

    def url(self, notebook: str, workspace: str = "test") -> str:
        """The address of a notebook (a path inside the served folder), in a workspace of its own: no other tabs."""
        page = "/".join(("lab", "workspaces", workspace, "tree", notebook))
        return f"http://127.0.0.1:{self.port}/{page}?token={self.token}"


@contextmanager
def serve(root: Path, settings: Path, command: list[str] | None = None) -> Iterator[Server]:
    """JupyterLab on `root` as `tplearn lab` starts it, on a free port; `settings` is an empty folder for its own files.

    `command` replaces the command line ("{port}" in it becomes the port); its server then makes up its own token, and
    prints it to settings/server.log. Ends with the server and its kernels gone.
    """
    port, token = free_port(), "" if command else secrets.token_hex(16)
    environment = dict(os.environ) if command else lab_environment(os.environ) | {"JUPYTER_TOKEN": token}
    environment |= {f"JUPYTER_{kind}_DIR": str(settings / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    words = [word.format(port=port) for word in command] if command else lab_command(root, port=port, browser=False)
    with open(settings / "server.log", "w") as log:
        process = subprocess.Popen(words, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(port, process, settings / "server.log")
        yield Server(port, token, process.pid)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *family] if family else [], timeout=15)
        for left in alive:
            left.kill()
        process.wait(timeout=15)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"JupyterLab is not up after {seconds:.0f} s (exit code {process.poll()}):\n{log.read_text()}")


@contextmanager
def browser_tab() -> Iterator[Page]:
    """A tab of headless Chromium. RuntimeError where Chromium is missing."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise RuntimeError("Chromium is missing; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            tab = browser.new_page(viewport={"width": 1280, "height": 1000})
            tab.set_default_timeout(30_000)
            yield tab
        finally:
            browser.close()


def forget_outputs(page: Path) -> None:
    """Leaves a notebook without outputs and counts: what it then shows was made by the run that follows."""
    notebook = json.loads(page.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    page.write_text(json.dumps(notebook))


def open_notebook(tab: Page, server: Server, notebook: str) -> None:
    """Opens a notebook and waits until its kernel is idle."""
    tab.goto(server.url(notebook, workspace=re.sub(r"\W+", "-", notebook)))
    tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    # The notebook's own indicator calls itself idle already before it has a kernel.
    tab.locator("#jp-bottom-panel").get_by_text("| Idle").wait_for(timeout=60_000)
    # JupyterLab connects to a fresh kernel twice, and cancels what was sent on the first connection.
    tab.wait_for_timeout(2000)


def run_all(tab: Page, seconds: float = 120) -> None:
    """Run > Run All Cells, then waits until every code cell has a count. AssertionError names what is left."""
    _click_run_all(tab)
    waiting = tab.locator(".jp-CodeCell .jp-InputPrompt").filter(has_not_text=re.compile(r"\[\d+\]"))
    running = tab.locator(".jp-CodeCell .jp-InputPrompt").filter(has_text="[*]")
    start = quiet_since = time.monotonic()
    while waiting.count() and not tab.locator(ERROR_OUTPUT).count() and time.monotonic() < start + seconds:
        if running.count():
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > 5:  # the connection changed once more, under load: ask again
            _click_run_all(tab)
            quiet_since = time.monotonic()
        tab.wait_for_timeout(100)
    assert not error_texts(tab), f"cells ended in errors: {error_texts(tab)}"
    assert not waiting.count(), f"{waiting.count()} code cells did not run within {seconds:.0f} s"


def _click_run_all(tab: Page) -> None:
    tab.locator("#jp-MainMenu .lm-MenuBar-item", has_text=re.compile("^Run$")).click()
    tab.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()


def error_texts(tab: Page) -> list[str]:
    """What stands in red on the page: errors, and anything on stderr."""
    return tab.locator(ERROR_OUTPUT).all_inner_texts()


def widget_cells(tab: Page) -> list[Locator]:
    """The code cells that show a slider."""
    tab.wait_for_selector(".jp-OutputArea .noUi-handle", timeout=30_000)
    return tab.locator(".jp-CodeCell").filter(has=tab.locator(".noUi-handle")).all()


def move_slider(cell: Locator, slider: int = -1, seconds: float = 10) -> float:
    """Moves a slider of the cell one step and returns the seconds from the slider's event to the new picture.

    The last slider by default: the first is often tp, and a tp that does not divide rightly leaves the picture alone.
    The clock is the page's own: from the key that moves the handle to the image's load. TimeoutError if none loads.
    """
    cell.scroll_into_view_if_needed()
    handle = cell.locator(".noUi-handle").nth(slider)
    handle.focus()
    for key in ("ArrowRight", "ArrowLeft"):  # a slider at its end moves the other way only
        value = handle.get_attribute("aria-valuenow")
        cell.evaluate(WATCH)
        handle.press(key)
        if handle.get_attribute("aria-valuenow") != value:
            milliseconds = cell.evaluate(REDRAWN, seconds * 1000)
            if milliseconds is not None:
                return milliseconds / 1000
    raise TimeoutError(f"the picture did not change within {seconds:.0f} s of moving slider {slider}")
