"""What it takes to begin, beside `import torch`: the package in a notebook, and the command in a shell.

python benchmarks/startup.py [--repeats 5]

Every number is the median of whole fresh processes of this run, in turns, so that drift meets all alike.
"""

import argparse
import statistics
import subprocess
import sys
import time

PYTHON = [sys.executable, "-c"]
COMMAND = [sys.executable, "-m", "tplearn.cli"]
CONTESTANTS = {
    "import torch": [*PYTHON, "import torch"],
    "from tplearn import run_ranks": [*PYTHON, "from tplearn import run_ranks"],
    "tplearn --help": [*COMMAND, "--help"],
    "tplearn generate --tp 2 --tokens 8 'def '": [*COMMAND, "generate", "--tp", "2", "--tokens", "8", "def "],
}


def seconds(command: list[str]) -> float:
    """From start to end."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each contestant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    rounds = [[seconds(command) for command in CONTESTANTS.values()] for _ in range(repeats + 1)]
    medians = [statistics.median(column) for column in zip(*rounds[1:], strict=True)]  # the first fills the disk cache
    for name, taken in zip(CONTESTANTS, medians, strict=True):
        print(f"{taken:5.2f} s  {taken / medians[0]:5.2f}×  {name}")


if __name__ == "__main__":
    main()
