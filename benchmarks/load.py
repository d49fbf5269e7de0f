"""Loading 1 GB of weights over 2 ranks, tplearn against transformers: `python benchmarks/load.py`.

Time until every weight has been read once, and by how much a rank's memory grows at its peak, as a multiple of the
rank's own weights. Both in one run, in turns, each time in fresh processes; the file is in the system's cache.

transformers leaves weights that it can use as they are stored in the pages of the file, which are in memory already
(the last column). tplearn copies all: its q, k, v and gate, up are one matrix each, and what becomes of the file later
does not touch the weights. The system hands out fresh memory for that, which is half of its time.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch.distributed as dist
from peer_models import make_checkpoint, transformers_model
from rich.console import Console
from rich.table import Table
from torch import nn

from tplearn import run_ranks
from tplearn.llama import Llama

TP, ROUNDS = 2, 9
LOADERS = {"tplearn": Llama.from_pretrained, "transformers": lambda folder: transformers_model(folder, cut=True)}


def memory(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


def load(name: str, folder: Path) -> tuple[float, float, float, int]:
    """(seconds, peak growth / own weights, pages of the file / own weights, own weights in bytes)."""
    import torch

    torch.set_num_threads(1)
    if name == "transformers":
        import transformers  # noqa: F401 (not part of loading)
        import transformers.models.llama.modeling_llama  # noqa: F401
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, before_file = memory("VmRSS"), memory("RssFile")
    dist.barrier()
    start = time.perf_counter()
    model: nn.Module = LOADERS[name](folder)
    for parameter in model.parameters():  # a mapped file is not there before it is touched
        local(parameter).detach().sum()
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    own = sum(local(parameter).nbytes for parameter in model.parameters())
    return seconds, (peak - before) / own, (memory("RssFile") - before_file) / own, own


def local(parameter: nn.Parameter):  # noqa: ANN201
    """A DTensor's own shard, or the parameter."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def main() -> None:
    """Print the table."""
    taken: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in LOADERS}
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder))
        for _ in range(ROUNDS):
            for name in LOADERS:
                taken[name] += run_ranks(load, TP, name, Path(folder), record=False, timeout=300).values
    table = Table("loader", "seconds", "own weights of a rank", "peak growth / own weights", "of it, pages of the file")
    for name, runs in taken.items():
        seconds, growth, pages = (statistics.median(column) for column in list(zip(*runs, strict=True))[:3])
        table.add_row(name, f"{seconds:.2f}", f"{runs[0][3] / 1e6:.0f} MB", f"{growth:.2f}×", f"{pages:.2f}×")
    console = Console(width=110)
    console.print(table)
    ours, theirs = (statistics.median(run[0] for run in taken[name]) for name in LOADERS)
    console.print(
        f"transformers / tplearn: {theirs / ours:.2f}× the time (aims: not slower, and at most 1.15× the weights)"
    )


if __name__ == "__main__":
    sys.exit(main())
