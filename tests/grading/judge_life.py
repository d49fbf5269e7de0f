"""The judge's side of the tests of a jail's life: its ranks one after the other, its end, and its sudden end."""

import json
import os
import signal
import time

import psutil

from tests.grading.jailing import SECONDS, answer, ending, image, jail, start
from tplearn.grading.can_jail import can_jail
from tplearn.grading.jail import Jail, NoJail
from tplearn.grading.jailed_rank import memory_of, pid_of

RANKS = 200


def close() -> dict:
    """Ranks that ignore every signal: how many processes a jail has, and how many are left when it is closed."""
    with jail() as it:
        ranks = [start(it, "stubborn") for _ in range(3)]
        said = [answer(rank) for rank in ranks]
        ranks[0].kill()
        first = ending(ranks[0])
        below = psutil.Process().children(recursive=True)
        it.close()
        left = [process.pid for process in below if process.is_running()]
        ends = [[rank.ending.code, rank.ending.reason] for rank in ranks]
        return {"said": said, "killed": first, "below": len(below), "left": left, "ends": ends}


def hang() -> None:
    """Prints the processes of a jail and the folder of its image, and waits to be killed."""
    with image() as folder, Jail.start([folder], modules=()) as it:
        for rank in [start(it, "stubborn") for _ in range(2)]:
            answer(rank)
        below = [process.pid for process in psutil.Process().children(recursive=True)]
        print(json.dumps([below, str(folder)]), flush=True)
        time.sleep(SECONDS)


def many() -> dict:
    """Ranks one after the other, each of which leaves what it can: what each finds, and what judge and nursery hold."""
    before = _open_files(os.getpid())
    with jail() as it:
        first = start(it, "trace")
        found = [answer(first)]
        first.close()
        nursery = pid_of(it._attendant.nursery)
        held = [_open_files(os.getpid()), _open_files(nursery)]
        memory, began, took = memory_of(nursery), time.perf_counter(), []
        for _ in range(RANKS):
            began = time.perf_counter()
            rank = start(it, "trace")
            took.append(time.perf_counter() - began)
            found.append(answer(rank))
            began = time.perf_counter()
            rank.close()
            took[-1] += time.perf_counter() - began
        after = [_open_files(os.getpid()), _open_files(nursery)]
        grown = memory_of(nursery) - memory
        until = time.monotonic() + SECONDS
        while it._attendant.ranks and time.monotonic() < until:
            time.sleep(0.01)
        kept = len(it._attendant.ranks)
    end = _open_files(os.getpid())
    files = {"before": before, "held": held, "after": after, "end": end}
    return {"found": found, "grown": grown, "kept": kept, "median ms": sorted(took)[RANKS // 2] * 1e3, **files}


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def lost() -> dict:
    """The nursery dies while a rank runs: what the rank's end is called, and what another rank gets."""
    said = {}
    with jail() as it:
        rank = start(it, "spin")
        signal.pidfd_send_signal(it._attendant.nursery, signal.SIGKILL)
        for name, act in {"running": lambda: rank.how_it_ended(SECONDS), "next": lambda: it.rank("x:y")}.items():
            try:
                act()
            except NoJail as error:
                said[name] = str(error)
    return said


def open_air() -> dict:
    """Without walls: what is refused still, how ranks end, and the processes, which the caller sees go."""
    with jail(walls=False) as it:
        first = start(it, "processes")
        said = {**answer(first), "ending": ending(first)}
        bomb = start(it, "threads", threads=True)
        said |= {"found": [pid == pid_of(bomb._itself) for pid in answer(bomb)["found"]]}
        said["folder"] = answer(start(it, "find"))[1]
        said["spin"] = ending(start(it, "spin", cpu_seconds=1))
        answer(start(it, "stubborn"))
        said["below"] = [process.pid for process in psutil.Process().children(recursive=True)]
    return said


def refusals() -> dict:
    said = {"can": can_jail()}
    with image() as folder:
        with Jail.start([folder], modules=["no_such_module"]) as it:
            try:
                it.rank("inside_jail:spin")
            except NoJail as error:
                said["module"] = str(error)
        it = Jail.start([folder], modules=())
        it.wait()
        it.kill()
        try:
            it.rank("inside_jail:spin")
        except NoJail as error:
            said["ended"] = str(error)
        it.close()
        folder.chmod(0o700)
        try:
            Jail.start([folder], modules=())
        except ValueError as error:
            said["image"] = str(error)
    return said
