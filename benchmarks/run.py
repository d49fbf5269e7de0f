"""The same script under `tplearn run` and under torchrun: from start to end, and until a hang is named.

python benchmarks/run.py [--ranks 4] [--repeats 3]

Every number is the median of whole fresh processes of this run, in turns. The script joins a gloo group, sends one
all_reduce and leaves; torchrun does not name a hang, so its second number is missing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """
import sys, time, torch, torch.distributed as dist
dist.init_process_group("gloo")
dist.all_reduce(torch.ones(4))
if sys.argv[1:] and dist.get_rank() == 0:
    print("hangs", time.monotonic(), flush=True)
    dist.all_reduce(torch.ones(4))
if sys.argv[1:] and dist.get_rank():
    time.sleep(0.5)
dist.destroy_process_group()
"""


def seconds(command: list[str]) -> float:
    """From start to end."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return time.perf_counter() - start


def seconds_to_report(command: list[str]) -> float:
    """From the last line of the rank that waits, to the end of the whole command, with its report."""
    done = subprocess.run([*command, "hang"], capture_output=True, text=True)
    hung = float(done.stdout.split("hangs ")[1].split()[0])
    if done.returncode != 1 or "Deadlock" not in done.stderr:
        raise RuntimeError(f"no deadlock was named:\n{done.stderr}")
    return time.monotonic() - hung


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(SCRIPT)
        ours = [sys.executable, "-m", "tplearn.cli", "run", "-n", str(options.ranks), str(script)]
        theirs = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={options.ranks}"]
        contestants = {"tplearn run": ours, "torchrun": [*theirs, str(script)]}
        rounds = [[seconds(command) for command in contestants.values()] for _ in range(options.repeats)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        for name, taken in zip(contestants, medians, strict=True):
            print(f"{taken:6.2f} s  {taken / medians[0]:5.2f}×  {name}, {options.ranks} ranks, start to end")
        named = statistics.median(seconds_to_report(ours) for _ in range(options.repeats))
        print(f"{named:6.2f} s          from a hang to the end of tplearn run (0.5 s of it are the script's)")


if __name__ == "__main__":
    main()
