"""The page "On your own code" shows what its commands print: `python -m book.own_code` runs them and stores that."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "pages" / "on_your_own_code.md"
FILE = re.compile(r"^```\{code-block\} python\n:caption: (?P<name>\S+)\n\n(?P<text>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^```console\n\$ (?P<command>[^\n]*)\n(?P<printed>.*?)^```$", re.M | re.S)
COLUMNS = "88"
ELSEWHERE = ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS")  # pytest prints more, or other things, where one of these is set


def filled(page: str) -> str:
    """The page with the output of each command below it; files are written and commands run as they come."""
    made, end = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = sorted([*FILE.finditer(page), *COMMAND.finditer(page)], key=lambda block: block.start())
        for block in blocks:
            made.append(page[end : block.start()])
            end = block.end()
            if block.re is FILE:
                (folder / block["name"]).write_text(block["text"])
                made.append(block[0])
            else:
                made.append(f"```console\n$ {block['command']}\n{printed(block['command'], folder)}\n```")
    return "".join([*made, page[end:]])


def printed(command: str, folder: Path) -> str:
    """What a shell shows after the command, without times."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PATH": path, "COLUMNS": COLUMNS, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    text = re.sub(r"=* (\d+ \w+.*?) in [\d.]+s =*", r"==== \1 ====", done.stdout)
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
