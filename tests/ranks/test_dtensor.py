"""The ledger sees inside DTensor's operators: as much as CommDebugMode counts, also under torchrun."""

import json
import os
import subprocess
import sys

import pytest

from tests.ranks.agent import ROOT
from tests.ranks.dtensors import DUE, told

EACH = {f"{call.__name__} on rank {rank}": [due] * 3 for call, due in DUE.items() for rank in range(2)}


def test_the_ledger_counts_as_comm_debug_mode_does() -> None:
    assert told() == EACH


@pytest.mark.slow
def test_and_so_it_does_under_torchrun_where_a_hang_inside_an_operator_is_a_deadlock_too() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [*command, sys.executable, "-c", "from tests.ranks.dtensors import script; script()"],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    assert json.loads(done.stdout) == EACH, done.stderr
    assert done.returncode != 0
    for text in ("Deadlock: no rank can make progress.", "rank 0  waits in all_reduce #0", "torch.relu(partial)"):
        assert done.stderr.count(text) == 1, done.stderr
