"""What `from tplearn import run_ranks` costs beside `import torch`, both in fresh interpreters of this run.

python benchmarks/import_time.py [--repeats 7]
"""

import argparse
import statistics
import subprocess
import sys

MEASURE = "import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"


def seconds(name: str) -> float:
    done = subprocess.run([sys.executable, "-c", MEASURE.format(name=name)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    seconds("tplearn.ranks")  # fills the disk cache
    pairs = [(seconds("torch"), seconds("tplearn.ranks")) for _ in range(repeats)]  # interleaved: drift hits both
    torch_s, tplearn_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"import torch {torch_s:.2f} s, from tplearn import run_ranks {tplearn_s:.2f} s: {tplearn_s / torch_s:.2f}×")


if __name__ == "__main__":
    main()
