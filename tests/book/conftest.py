"""The book, built once as `make book` builds it, and served; a Chromium for the tests of a module."""

import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import CHROMIUM

ROOT = Path(__file__).parent.parent.parent


class Quiet(SimpleHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, *details: object) -> None:
        pass


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built book; Sphinx made it without one warning."""
    pytest.importorskip("sphinx", reason="the extra `book` is not installed")
    out = tmp_path_factory.mktemp("book")
    made = subprocess.run([sys.executable, "-m", "book.build", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return out / "book"


@pytest.fixture(scope="session")
def address(built: Path) -> Iterator[str]:
    """Where the book is served."""
    handler = functools.partial(Quiet, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:  # noqa: F821
    """A Chromium. While it is there an event loop counts as running, so tests of other modules must not meet it."""
    from playwright.sync_api import sync_playwright

    from benchmarks.lab_page import FLAGS

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
