"""run_ranks in a real Jupyter kernel: cell functions, the short report, the stop button, a killed kernel."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

SETUP = """
import time, torch, torch.distributed as dist
from tplearn import run_ranks
"""
EARLY = """def early():
    x = torch.ones(4, 8)
    dist.all_reduce(x)
    if dist.get_rank() == 1:
        return x
    dist.all_reduce(x)

run_ranks(early, 2)
"""


@pytest.fixture
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_cell(client: BlockingKernelClient, code: str) -> tuple[str, str]:
    """(what it printed, its error as Jupyter shows it)."""
    printed, shown = [], []

    def hook(message: dict) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
        elif message["msg_type"] == "error":
            shown.append("\n".join(message["content"]["traceback"]))

    reply = client.execute_interactive(code, output_hook=hook, timeout=60)
    assert reply["content"]["status"] != "aborted"
    return "".join(printed), re.sub(r"\x1b\[[\d;]*m", "", "".join(shown))


def ranks_of(manager: KernelManager) -> list[psutil.Process]:
    return psutil.Process(manager.provisioner.pid).children(recursive=True)


def test_the_report_is_all_that_is_shown(kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    _, client = kernel
    run_cell(client, SETUP)
    _, error = run_cell(client, EARLY)
    assert error.splitlines() == [
        "Deadlock: no rank can make progress.",
        "  rank 0  waits in all_reduce #1 (4×8 float32, SUM)   cell [2] line 6:  dist.all_reduce(x)",
        "  rank 1  returned after 1 collective                 cell [2] line 5:  return x",
    ]


def test_the_server_of_the_forks_starts_at_import(kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    manager, client = kernel
    run_cell(client, "from tplearn import run_ranks")
    assert any("forkserver" in " ".join(process.cmdline()) for process in ranks_of(manager))


def test_the_stop_button_stops_and_the_next_cell_works(kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    manager, client = kernel
    run_cell(client, SETUP + "def hang():\n    if dist.get_rank(): time.sleep(1000)\n    dist.barrier()")
    idle = len(ranks_of(manager))
    client.execute("run_ranks(hang, 2)", stop_on_error=False)  # else a cell sent at once after the error is refused
    while len(ranks_of(manager)) < idle + 2:
        time.sleep(0.05)
    time.sleep(1.0)
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"
    printed, error = run_cell(client, "print(run_ranks(lambda: dist.get_rank(), 3).values)")
    assert (printed, error) == ("[0, 1, 2]\n", "")
    assert len(ranks_of(manager)) == idle


def test_the_stop_button_at_any_moment_leaves_no_rank(kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    manager, client = kernel
    run_cell(client, SETUP + "def hang():\n    if dist.get_rank(): time.sleep(1000)\n    dist.barrier()")
    run_cell(client, "run_ranks(dist.get_rank, 2)")
    idle = ranks_of(manager)
    for moment in range(16):  # from before the first rank is there until all of them hang
        client.execute("run_ranks(hang, 2)", stop_on_error=False)
        while client.get_iopub_msg(timeout=30)["msg_type"] != "execute_input":
            pass
        time.sleep(0.015 * (moment + 1))
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=30)["content"]
        assert reply.get("ename") == "KeyboardInterrupt", reply
        assert ranks_of(manager) == idle


def test_a_killed_kernel_leaves_no_rank(kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    manager, client = kernel
    run_cell(client, SETUP)
    client.execute("def spin():\n    while True: pass\nrun_ranks(spin, 3)")
    family: list[psutil.Process] = []
    while len(family) < 4:
        family = ranks_of(manager)
        time.sleep(0.05)
    psutil.Process(manager.provisioner.pid).kill()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_only_where_somebody_reads_ranks_get_ready_before_they_are_wanted() -> None:
    """Many packages import IPython, and a program that only has it there may never start a rank."""
    code = "import IPython, psutil, tplearn.ranks; print(len(psutil.Process().children()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "0\n", done.stderr
    in_shell = "from IPython.core.interactiveshell import InteractiveShell as Shell; Shell.instance(); " + code
    done = subprocess.run([sys.executable, "-c", in_shell], capture_output=True, text=True, timeout=120)
    assert done.stdout == "1\n", done.stderr
