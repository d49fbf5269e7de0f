"""Opens the course in JupyterLab: the command, the environment, and when a browser can be shown.

The settings the course ships (no pop-up about news, a tidy file browser) live in tplearn/jupyter. They reach JupyterLab
through JUPYTER_CONFIG_PATH, as defaults: the reader's own settings are not written, and win where they differ.
Only the standard library is imported: `make lab` runs this file by itself, and saves the seconds that torch takes.
"""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tplearn.course.copy import update
from tplearn.course.places import copy_folder, course_folder

FIRST_PAGE = "chapters/00_start_here.ipynb"
SETTINGS = Path(__file__).parent / "jupyter"


def can_show_browser() -> bool:
    """Whether a browser window can appear: on Linux that needs a display."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def lab_command(root: Path, page: str = FIRST_PAGE, port: int | None = None, browser: bool = True) -> list[str]:
    """The command line that serves `root` on the loopback interface and opens `page` (a path inside `root`)."""
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}"]
    command += [f"--LabApp.default_url=/lab/tree/{page}", "--Application.log_level=ERROR"]
    if port is not None:
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # Jupyter refuses to run as root otherwise; containers often have no other user
    return command


def lab_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environment` with the course's settings in front, and this Python's programs (torchrun) first on the path."""
    result = dict(environment)
    for name, first in (("JUPYTER_CONFIG_PATH", str(SETTINGS)), ("PATH", str(Path(sys.executable).parent))):
        result[name] = os.pathsep.join([first, *filter(None, [environment.get(name)])])
    return result


def open_lab(page: str = FIRST_PAGE, port: int | None = None, browser: bool | None = None) -> None:
    """Serves the reader's copy of the course, brought up to date; `page` is a path in it. Does not return.

    The process becomes JupyterLab, so that Ctrl-C and signals reach it and nothing is left behind.

    Raises:
        ModuleNotFoundError: JupyterLab is not installed.
        ValueError: the copy has no such page.
        OSError: the course's folder is not found, or the copy cannot be written.
    """
    if find_spec("jupyterlab") is None:
        raise ModuleNotFoundError("No module named 'jupyterlab'", name="jupyterlab")
    browser = can_show_browser() if browser is None else browser
    root = copy_folder()
    for line in (f"Your copy of the course: {root}", *update(root, course_folder()).lines()):
        print(line)
    if not (root / page).exists():
        raise ValueError(f"there is no {page} in {root}; pages: chapters/NN_name.ipynb, exercises/NN_name.ipynb")
    print("Starting JupyterLab. Press Ctrl-C here to stop it.", flush=True)
    os.chdir(root)
    command = lab_command(root, page, port, browser)
    os.execve(command[0], command, lab_environment())


if __name__ == "__main__":
    open_lab()
