"""What the tests run in a rank without walls: it reaches for what is the judge's and another rank's."""

import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import inside_jail
from inside_jail import outcome, say

from tplearn.jailed.seccomp import REFUSED_OUTSIDE


def tried(act: Callable[[], object]) -> int | str:
    """The number of the error that a call gives; what it returns where it gives none."""
    try:
        return repr(act())
    except OSError as error:
        return error.errno


def settle(read_fd: int, write_fd: int) -> None:
    """Leaves a file in its work folder, says where that is, and stays."""
    Path("secret").write_text("of another rank")
    say(write_fd, os.getcwd())
    os.read(read_fd, 1)  # the line that comes with the start
    os.read(read_fd, 1)


def roam(read_fd: int, write_fd: int) -> None:
    """It reads what to try: files to read, folders, files to harm, and the judge's number. Says what came of each."""
    paths, folders, victims, judge = json.loads(os.read(read_fd, 1 << 16))
    say(
        write_fd,
        {
            "read": {path: outcome(lambda path=path: os.close(os.open(path, os.O_RDONLY))) for path in paths},
            "list": {folder: outcome(lambda folder=folder: os.listdir(folder)) for folder in folders},
            "make": {
                folder: outcome(lambda folder=folder: Path(folder, "made-by-a-rank").touch()) for folder in folders
            },
            "harm": {victim: _harm(victim) for victim in victims},
            "judge": {
                "signal": tried(lambda: os.kill(judge, 0)),
                "limit": tried(lambda: resource.prlimit(judge, resource.RLIMIT_NOFILE)),
                "all": tried(lambda: os.kill(-1, 0)),
                "environment": outcome(lambda: Path(f"/proc/{judge}/environ").read_bytes()),
                "program": outcome(lambda: os.readlink(f"/proc/{judge}/exe")),
            },
            "self": [tried(lambda: os.kill(os.getpid(), 0)), tried(lambda: signal.raise_signal(signal.SIGWINCH))],
            "socket": outcome(lambda: socket.socket()),
            "checks": outcome(lambda: __import__("tplearn.checks")),
            "place": os.getcwd(),
            "named": [os.environ["HOME"], os.environ["TMPDIR"]],
            "work": _work(),
        },
    )


def _harm(victim: str) -> dict[str, int | str]:
    return {
        "append": tried(lambda: open(victim, "a").close()),
        "empty": tried(lambda: os.truncate(victim, 0)),
        "empty unwritten": tried(lambda: os.open(victim, os.O_RDONLY | os.O_TRUNC)),
        "empty unopened": tried(lambda: os.open(victim, 3 | os.O_TRUNC)),
        "move": tried(lambda: os.rename(victim, "taken")),
        "replace": tried(lambda: os.rename("/dev/null", victim)),
        "link": tried(lambda: os.link(victim, "linked")),
        "mode": tried(lambda: os.chmod(victim, 0)),
        "times": tried(lambda: os.utime(victim, (0, 0))),
        "remove": tried(lambda: os.remove(victim)),
    }


def _work() -> list[object]:
    """What can be done in the own folder; at the end it is deep, closed and full."""
    Path("folder").mkdir()
    Path("one").write_text("text")
    os.rename("one", "folder/two")
    said = [Path("folder/two").read_text(), os.listdir("folder"), tried(lambda: os.symlink("/", "link"))]
    said += [tried(lambda: os.mkfifo("pipe")), tried(lambda: os.remove("folder/two")), os.listdir("folder")]
    Path("left").touch()
    for _ in range(2000):
        os.mkdir("deep", 0o700)
        os.chdir("deep")
        Path("file").touch()
    os.mkdir("closed", 0)
    return said


def calls(read_fd: int, write_fd: int) -> None:
    """{name of a call that is refused outside a jail: errno}."""
    inside_jail.REFUSED = REFUSED_OUTSIDE
    inside_jail.calls(read_fd, write_fd)
