"""One jail: started by bubblewrap, its ranks handed out as pairs of pipes, and ended whole.

Nothing that a rank says is believed here: what arrives on its pipes is for the caller to judge.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tplearn.grading.attendant import Attendant
from tplearn.grading.bubblewrap import ENVIRONMENT, NoJail, arguments, bubblewrap, nursery, user_namespace
from tplearn.grading.jailed_rank import RankProcess
from tplearn.grading.open_air import readable
from tplearn.jailed.limits import Limits

# The first backward(gradient) imports the last of these: 0.4 s that each fork would spend again.
MODULES = ("numpy", "torch", "torch.distributed", "torch.fx.experimental.symbolic_shapes")
MEMORY = 1_000_000_000
START_SECONDS = 60.0


class Jail:
    """A jail from start to end; also a context manager.

    Start it from a thread that lives as long: where that thread ends, the kernel ends the jail.
    """

    def __init__(
        self,
        process: subprocess.Popen,
        control: socket.socket,
        log: IO[bytes],
        held: contextlib.ExitStack,
        memory: int,
        work: Path | None,
    ) -> None:
        self._process, self._control, self._log, self._held = process, control, log, held
        self._attendant = Attendant(control, memory)
        self._memory, self._work, self._numbers = memory, work, 0

    @classmethod
    def start(
        cls,
        image: Sequence[Path],
        *,
        hidden: Sequence[Path] = (),
        modules: Sequence[str] = MODULES,
        memory: int = MEMORY,
        walls: bool = True,
    ) -> "Jail":
        """Start a jail, and return at once: it imports while the caller does other things.

        Args:
            image: folders that ranks import from, in this order; between them they hold tplearn/jailed. Ranks see them
                and the installed packages, without tplearn, and no other file of the course.
            hidden: folders that no rank may see, wherever they lie: the submissions, say.
            modules: what is imported once, before ranks are forked.
            memory: bytes that all ranks together may use beyond what they share with the nursery.
            walls: False for a class that one trusts, where no jail can be had on Linux: ranks are the user's ordinary
                processes. Limits, and calls that are refused, stay. Where the kernel has Landlock they reach the same
                files as in a jail; where not, all that the user can.

        Raises NoJail where none can be had, ValueError for an image that ranks could not read.
        """
        for folder in image:
            if not folder.is_dir() or folder.stat().st_mode & 0o005 != 0o005:
                raise ValueError(f"{folder} must be a folder that others may read (chmod 755): ranks are another user")
        with contextlib.ExitStack() as held, contextlib.ExitStack() as kept:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            kept.callback(ours.close)
            held.callback(theirs.close)
            log = kept.enter_context(tempfile.TemporaryFile())
            files, environment, work = [theirs.fileno()], ENVIRONMENT, None
            places = [[folder.resolve() for folder in folders] for folders in (image, hidden)]
            if walls:
                program = bubblewrap()
                users = held.enter_context(user_namespace())
                cpus = held.enter_context(open("/proc/cpuinfo")).fileno()
                command = [program, *arguments(*places, modules, theirs.fileno(), cpus, users)]
                files += [cpus, *([] if users is None else [users])]
            else:
                image = places[0]
                command = nursery(list(map(str, image)), modules, theirs.fileno(), readable(*places))
                work = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="tplearn-")))
                environment = ENVIRONMENT | {"HOME": str(work), "TMPDIR": str(work)}
            process = subprocess.Popen(
                command,
                cwd=work,
                env=environment,  # and nothing of ours: bubblewrap's own could be read from inside
                pass_fds=files,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the judge's
            )
            return cls(process, ours, log, kept.pop_all(), memory, work)

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Until it is ready to fork. Raises NoJail, with what bubblewrap or Python said, where it ends before."""
        told = self._attendant
        with told.changed:
            told.changed.wait_for(lambda: told.ready or told.gone, seconds)
        if not told.ready or told.gone:
            raise self._no_jail(f"the jail was not ready after {seconds:g} s")

    def _no_jail(self, late: str) -> NoJail:
        """What bubblewrap or Python said at the end of the jail; `late` where it has not ended."""
        said = os.pread(self._log.fileno(), 1 << 16, 0).decode(errors="replace").strip()
        return NoJail(said or ("the jail has ended" if self._attendant.gone else late))

    def rank(self, function: str = "tplearn.jailed.rank:main", limits: Limits | None = None) -> RankProcess:
        """A new rank: a fork of the nursery that calls "module:function" with file 3 to read and file 4 to write.

        Raises NoJail where the jail has ended or the kernel refuses the fork.
        """
        self.wait()
        told, number = self._attendant, self._numbers
        self._numbers += 1
        limits = limits or Limits()
        (theirs_read, ours_write), (ours_read, theirs_write), (printed, prints) = (os.pipe() for _ in range(3))
        folder = None
        if self._work:
            folder = self._work / str(number)
            folder.mkdir(mode=0o700)
        rank = RankProcess(ours_read, ours_write, printed, limits, self._memory, folder)
        with told.changed:
            told.ranks[number] = rank
        message = json.dumps(["rank", number, function, dataclasses.asdict(limits)]).encode()
        try:
            socket.send_fds(self._control, [message], [theirs_read, theirs_write, prints])
        except OSError:  # the jail has ended, and its attendant hears of that in a moment
            rank.fail()
            with told.changed:
                told.changed.wait_for(lambda: told.gone, START_SECONDS)
        finally:
            for file in (theirs_read, theirs_write, prints):
                os.close(file)
        with told.changed:
            told.changed.wait_for(lambda: rank.begun or rank.ending or told.gone, START_SECONDS)
        if not rank.begun:
            if not rank.refused:
                self.kill()  # it does not answer, and a rank that came late would be nobody's
            rank.close()
            raise NoJail(rank.refused) if rank.refused else self._no_jail(f"no rank after {START_SECONDS:g} s")
        return rank

    def kill(self) -> None:
        """End every process in the jail, and return when the last one has gone."""
        with contextlib.suppress(OSError):
            if self._attendant.nursery is not None:
                signal.pidfd_send_signal(self._attendant.nursery, signal.SIGKILL)  # the kernel ends all below it
            else:
                self._process.kill()
        self._process.wait()  # which ends after the last of them

    def close(self) -> None:
        """Kill the jail, and close what the judge holds of it; the outputs and endings of its ranks stay."""
        self.kill()
        self._attendant.join()
        for rank in self._attendant.ranks.values():
            rank.close()
        self._held.close()

    def __enter__(self) -> "Jail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
