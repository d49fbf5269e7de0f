"""Notebooks under nbval, in a Python that finds what a reader has installed and no more."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tplearn.doctor import DISTRIBUTION

CELL_SECONDS = 60
# Reports name a cell by its prompt. nbval runs cells without a history: there every prompt is In [1].
PROMPTS = "[prompts]\nregex: cell \\[\\d+\\]\nreplace: cell [n]\n"

HIDING = """
from functools import partial
from importlib.machinery import PathFinder
def find_unhidden(find, name, *where):
    return None if name.split(".")[0] in {hidden} else find(name, *where)
PathFinder.find_spec = partial(find_unhidden, PathFinder.find_spec)
"""


def run_nbval(paths: list[Path], mode: str, tmp_path: Path) -> dict[str, int | str]:
    """Runs notebooks of one folder under nbval in a process of its own: outcomes, counted, from the JUnit file."""
    folder = paths[0].parent
    report, prompts = tmp_path / "report.xml", tmp_path / "prompts.ini"
    prompts.write_text(PROMPTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        mode,
        f"--nbval-cell-timeout={CELL_SECONDS}",
        f"--nbval-sanitize-with={prompts}",
        "-q",
        "-p",
        "nbval.plugin",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--rootdir={folder}", "-c", os.devnull, f"--junitxml={report}"]
    command += [path.name for path in paths]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": as_a_reader(tmp_path)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, env=environment)
    assert report.exists(), done.stdout + done.stderr
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")}
    return counts | {"output": done.stdout}


def as_a_reader(folder: Path) -> str:
    """An import path on which no Python finds what only extras install that `make lab` leaves out."""
    required = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    readers = [
        one for one in required if not one.marker or any(one.marker.evaluate({"extra": x}) for x in ("course", "jax"))
    ]
    theirs = [Requirement(text) for one in readers for text in metadata.requires(one.name) or []]
    brought = {one.name for one in theirs if not one.marker or one.marker.evaluate({"extra": ""})}  # coverage, by nbval
    extras = {one.name for one in required if one not in readers} - brought
    found = metadata.packages_distributions().items()
    hidden = {module for module, owners in found if {owner.lower().replace("_", "-") for owner in owners} <= extras}
    assert {"playwright", "hypothesis", "nbgrader"} <= hidden
    (folder / "sitecustomize.py").write_text(HIDING.format(hidden=sorted(hidden)))
    return str(folder)
