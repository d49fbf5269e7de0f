"""The judge's side of the jail's tests, run as a program of its own, as one user or another: prints one JSON."""

import importlib.util
import json
import os
import site
import sys
import sysconfig
import tempfile
from pathlib import Path

import psutil

import tplearn
from tests.grading.jailing import answer, ending, jail, start
from tests.grading.judge_life import close, hang, lost, many, open_air, refusals
from tests.grading.judge_open_air import landlocked
from tplearn.grading.jail import MODULES
from tplearn.grading.jailed_rank import pid_of

ACTS = [close, hang, landlocked, lost, many, open_air, refusals]


def around() -> dict:
    """What a rank finds, and whether what it tries to read is there outside. Three folders are hidden from it."""
    root = Path(tplearn.__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder, "other_student.ipynb")
        other.write_text("{}")
        other.chmod(0o644)
        Path(folder).chmod(0o755)
        library = Path(sysconfig.get_path("stdlib"), "pydoc_data", "__init__.py")
        package = Path(site.getsitepackages()[0], "psutil", "__init__.py")
        paths = [*sorted((root / "solutions").glob("*.ipynb"))[:3], root / "tplearn" / "checks" / "check.py", other]
        paths += [library, package, "/etc/passwd", "/proc/1/environ", "/proc/self/environ", "/proc/self/status"]
        paths += [f"/proc/{os.getpid()}/{name}" for name in ("environ", "mem", "maps")]
        hidden = [Path(folder), library.parent, package.parent]
        with jail(hidden=hidden) as it:
            inside = answer(start(it, "around", [list(map(str, paths)), list(map(str, hidden))]))
            outside = {str(path): Path(path).exists() for path in paths}
            reach = answer(start(it, "reach", [os.getpid(), pid_of(it._attendant.nursery), 1]))
    return {"inside": inside, "outside": outside, "reach": reach}


def calls() -> dict:
    with jail() as it:
        return answer(start(it, "calls"))


def processes() -> dict:
    with jail() as it:
        rank = start(it, "processes")
        return {**answer(rank), "ending": ending(rank), "again": answer(start(it, "calls")) is not None}


def threads() -> dict:
    """Ranks that may have threads: what works, how a bomb ends, and what is left of it and of the memory's limit."""
    with jail(memory=100 << 20) as it:
        said = answer(start(it, "threads", threads=True))
        said["table"] = answer(start(it, "calls", threads=True))
        alone = psutil.Process().children(recursive=True)
        bomb = start(it, "bomb", threads=True, cpu_seconds=1)
        held, end = answer(bomb), ending(bomb)
        left = [each.pid for each in psutil.Process().children(recursive=True) if each not in alone]
        return {**said, "bomb": [held, end], "left": left, "headless": ending(start(it, "headless", threads=True))}


def memory() -> dict:
    """Ranks that take more and more memory, one that ended before them, one beside them, and one after."""
    with jail(memory=200 << 20) as it:
        early = start(it, "leave", "exit")
        first = ending(early)
        ends = {"beside": start(it, "spin")}
        ends["private_memory"] = start(it, "private_memory")
        demand = answer(ends["private_memory"])
        ends = {name: ending(rank) for name, rank in ends.items()}
        ends["shared_memory"] = ending(start(it, "shared_memory"))
        after = answer(start(it, "find"))[0]
        return {**ends, "demand": demand, "early": [first, ending(early)], "next": after}


def output() -> dict:
    with jail() as it:
        rank = start(it, "talkative")
        said, end = answer(rank), ending(rank)
    return {"said": said, "ending": end, "kept": len(rank.output()), "tail": rank.output()[-40:]}


def endings() -> dict:
    with jail() as it:
        ranks = {how: start(it, "leave", how) for how in ("_exit", "exit", "fail", "fault")}
        ends = {how: ending(rank) for how, rank in ranks.items()}
        ends["spin"] = ending(start(it, "spin", cpu_seconds=1))
        silent = start(it, "silent")
        answer(silent)
        return {**ends, "silent": silent.how_it_ended(0), "output": ranks["fail"].output()}


def apart() -> dict:
    with jail() as it:
        ranks = [start(it, "note", name) for name in ("one", "two")]
        before = [answer(rank) for rank in ranks]
        for rank in ranks:
            os.write(rank.write_fd, b".")
        return {"before": before, "after": [answer(rank) for rank in ranks], "third": answer(start(it, "find"))}


def libraries(walls: bool = True) -> dict:
    """What torch and, where it is installed, JAX compute in ranks; and how many threads the nursery has."""
    jax = importlib.util.find_spec("jax") is not None
    with jail((*MODULES, "jax") if jax else MODULES, walls=walls) as it:
        said = [answer(start(it, "backward", seed)) for seed in ("5", "5", "6")]
        products = [answer(start(it, "product", threads=True)) for _ in range(2 if jax else 0)]
        threads = len(os.listdir(f"/proc/{pid_of(it._attendant.nursery)}/task"))
    return {"torch": said, "jax": products, "threads": threads}


def libraries_in_open_air() -> dict:
    return libraries(walls=False)


ACTS += [libraries_in_open_air, around, calls, processes, threads, memory, output, endings, apart, libraries]

if __name__ == "__main__":
    print(json.dumps({act.__name__: act for act in ACTS}[sys.argv[1]]()))
