"""chapters/05_ring.py gives the same sums whether python starts the ranks or torchrun does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "chapters" / "05_ring.py"
SUM = str([float(6 * 100 + 4 * n) for n in range(8)])  # four ranks bring n + 100 · rank


def sums_by_rank(command: list[str]) -> dict[int, str]:
    """Run the file in a clean environment and read the line that each rank prints."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return {int(rank): values for rank, values in re.findall(r"rank (\d) of 4: (\[[^\]]*\])", done.stdout)}


def test_started_by_python() -> None:
    assert sums_by_rank([sys.executable, str(SCRIPT)]) == dict.fromkeys(range(4), SUM)


@pytest.mark.slow
def test_torchrun_gives_the_same_values() -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4"]
    assert sums_by_rank([*torchrun, str(SCRIPT)]) == sums_by_rank([sys.executable, str(SCRIPT)])
