"""Processes with the environment that torchrun gives its ranks, forked from the server: a second each, not six.

`python tests/ranks/agent.py 2 4` runs the same drill under torchrun itself, and prints what each fault was called and
when the first rank knew.
"""

import contextlib
import importlib
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = (
    "returns_early",
    "leaves_before_relu",
    "different_op",
    "different_shape",
    "different_reduce_op",
    "different_root",
    "recv_recv",
    "killed",
    "hard_exit",
    "sleeps",
    "raises",
    "tags_that_never_meet",
    "async_waited",
)
SAID = r"^(?:\[rank\d+\]: )?(?:tplearn\S+: )?((?:Deadlock|Collective mismatch|Rank|Time limit)[^\n]*)"
LIMIT = 2.0  # seconds, for the one that sleeps


@dataclass(frozen=True)
class Ended:
    """What became of a rank: its exit code, what it printed, and after how many seconds."""

    code: int | None
    output: str
    seconds: float


def main(program: str, environment: dict[str, str], output: int) -> None:
    """A rank's life: one program of tests.ranks.programs under run_ranks, as a script would call it."""
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    os.environ.update(environment)
    from tplearn.ranks.job import leave

    try:
        script(program)
    except BaseException as error:
        print(f"uncaught {type(error).__name__}: {error}", file=sys.stderr)
        leave(1)
    leave(0)


def script(program: str, measured: bool = False) -> None:
    """What a user's file under torchrun does. measured: print how long the report took, once all ranks have met."""
    from tplearn import RankError, run_ranks

    programs = importlib.import_module("tests.ranks.programs")
    fn = getattr(programs, program)
    limit, world_size = LIMIT if program == "sleeps" else 60.0, int(os.environ["WORLD_SIZE"])
    if measured:
        run_ranks(int, world_size)
    started = time.monotonic()
    try:
        run = run_ranks(fn, world_size, timeout=limit)
    except RankError:
        if measured:
            print(f"judged after {time.monotonic() - started:.1f} s", file=sys.stderr)
        raise
    print(f"rank {os.environ['RANK']}: {run.values} {run.ledger.count()} rows, {len(run.warnings)} warnings")


def run_as_under_torchrun(program: str, world_size: int, nodes: int = 1) -> list[Ended]:
    """Each rank's end. nodes: as many machines, all of which are this one."""
    from tplearn.forkserver import start_child

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started, ranks = time.monotonic(), []
    for rank in range(world_size):
        output, theirs = Pipe(duplex=False)
        environment = {
            "TORCHELASTIC_RUN_ID": "drill",
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "LOCAL_RANK": str(rank // nodes),
            "LOCAL_WORLD_SIZE": str(world_size // nodes),
        }
        ranks.append((start_child(f"{__name__}:main", [program, environment], [theirs.fileno()]), output))
        theirs.close()
    ended = []
    for child, output in ranks:
        text = b""
        with contextlib.suppress(OSError):
            while data := os.read(output.fileno(), 1 << 16):
                text += data
        ended.append(Ended(child.exit_code(60.0), text.decode(), time.monotonic() - started))
    return ended


def drill(world_sizes: list[int]) -> None:
    """The table, under torchrun itself."""
    for world_size in world_sizes:
        for program in FAULTS:
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world_size}"]
            code = f"import tests.ranks.agent as agent; agent.script({program!r}, measured=True)"
            done = subprocess.run(
                [*command, "--no-python", sys.executable, "-c", code],
                capture_output=True,
                text=True,
                timeout=120,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )
            said = re.findall(SAID, done.stderr, re.M)
            after = min(re.findall(r"judged after ([\d.]+) s", done.stderr), default="-")
            print(f"{world_size} ranks  {program:22} exit {done.returncode}  {after} s  {said[:1]}", flush=True)


if __name__ == "__main__":
    drill([int(argument) for argument in sys.argv[1:]] or [2, 4])
