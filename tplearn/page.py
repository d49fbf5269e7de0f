"""Folds the answers to predictions in stored pages: `%load_ext tplearn.page`, and `# predicted` on a cell's first line.

A marked cell answers the prediction above it. Where a program runs the notebook (nbclient, nbval), what the cell shows
is stored as one output that a click opens: an HTML <details>, like the answers in the text. Where a person runs it, the
cell is like any other: JupyterLab and VS Code send a cell's id along, programs do not.
"""

import base64
import html
import io
import sys
from collections.abc import Mapping
from typing import Any

MARK = "# predicted"
OPENING = "<details><summary>output</summary>"


def is_predicted(source: str) -> bool:
    """Whether a code cell answers a prediction."""
    return source.partition("\n")[0].rstrip() == MARK


def is_folded(output: Mapping[str, Any]) -> bool:
    """Whether a stored output, as nbformat 4 has it, is closed until somebody opens it."""
    return "".join(output.get("data", {}).get("text/html", "")).startswith(OPENING)


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext tplearn.page` calls; a second call changes nothing. Outside a kernel no page is stored.

    Before ipykernel 7.3 (Colab has 6.17) nothing can hold back what a cell returns: there every output stays open.
    """
    can_hold = hasattr(shell, "kernel") and hasattr(shell.displayhook, "register_hook")
    if can_hold and not hasattr(shell, "tplearn_page"):
        shell.tplearn_page = Page(shell)


class Page:
    """Holds back what a marked cell shows until the cell has run, and then shows it in one piece."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.holds = False
        self.stdout, self.printed = sys.stdout, io.StringIO()
        self.shown: list[str | dict[str, str]] = []  # in order: printed text, or one display's data by MIME type
        self.show_error = shell._showtraceback
        shell._showtraceback = self.error
        shell.events.register("pre_run_cell", self.begin)
        shell.events.register("post_run_cell", self.end)

    def begin(self, cell: Any) -> None:
        """Before a cell runs."""
        if cell.cell_id is None and is_predicted(cell.raw_cell):
            self.holds, self.shown = True, []
            self.stdout, self.printed = sys.stdout, io.StringIO()
            sys.stdout = self.printed
            for publisher in (self.shell.displayhook, self.shell.display_pub):
                publisher.register_hook(self.take)

    def take(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """A message on its way to the page: None holds it back."""
        if message["msg_type"] not in ("display_data", "execute_result"):
            return message
        self.take_printed()
        self.shown.append(message["content"]["data"])
        return None

    def take_printed(self) -> None:
        """What was printed up to here stands before what comes next."""
        if text := self.printed.getvalue():
            self.shown.append(text)
            self.printed.seek(0)
            self.printed.truncate()

    def release(self) -> None:
        """Hold nothing back any more."""
        self.take_printed()
        self.holds, sys.stdout = False, self.stdout
        for publisher in (self.shell.displayhook, self.shell.display_pub):
            publisher.unregister_hook(self.take)

    def error(self, *details: Any) -> None:
        """An error shows as it does in any cell, after what came before it."""
        if self.holds:
            self.release()
            for shown in self.shown:
                if isinstance(shown, str):
                    sys.stdout.write(shown)
                else:
                    self.shell.display_pub.publish(shown)
        self.show_error(*details)

    def end(self, result: Any) -> None:
        """After a cell has run."""
        if self.holds:
            self.release()
            if self.shown:
                self.shell.display_pub.publish(folded(self.shown))
        # A reader may run the first cell again: without this IPython would print that the extension is loaded already.
        self.shell.extension_manager.loaded.discard(__name__)


def folded(shown: list[str | dict[str, str]]) -> dict[str, str]:
    """One closed output of all that a cell has shown, as plain text and as HTML."""
    text, parts = "", []
    for each in shown:
        data = each if isinstance(each, dict) else {"text/plain": each.removesuffix("\n")}
        text += data.get("text/plain", "") + "\n"
        parts.append(_as_html(data))
    return {"text/plain": text.removesuffix("\n"), "text/html": f"{OPENING}{''.join(parts)}</details>"}


def _as_html(data: dict[str, str]) -> str:
    """One display: its HTML if it has any, else its picture, else its text."""
    plain = data.get("text/plain", "")
    if "text/html" in data:
        return data["text/html"]
    for kind in ("image/png", "image/jpeg", "image/svg+xml"):
        if kind in data:
            content = data[kind].strip()
            if kind == "image/svg+xml":
                content = base64.b64encode(content.encode()).decode()
            return f'<img src="data:{kind};base64,{content}" alt="{html.escape(plain)}">'
    return f"<pre>{html.escape(plain, quote=False)}</pre>"
