"""A Llama block at tp 2 against DTensor and against one process: `python benchmarks/block.py [--recorder]`.

Hidden 1024, 16 heads, 8 KV heads, ffn 2816, 4 layers, float32. All contestants run in one session, in turns; a number
is the median of its repeats on rank 0. Needs two cores; with fewer the numbers say nothing. Under torchrun it is the
same with `torchrun --standalone --nproc-per-node 2 benchmarks/block.py`. --recorder: only what the recorder costs.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from block_models import dtensor_model, tplearn_model
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tplearn import run_ranks

SHAPES = {(1, 1): 40, (4, 128): 5, (8, 256): 3}  # batch × sequence: repeats
HIDDEN = 1024
AIMS = {(1, 1): "DTensor at least 1.25×", (4, 128): "speed-up at least 1.75×", (8, 256): "DTensor at least 1×"}
LIMIT = (
    "Why not 2×: the last column is what a second core gives one process that sends nothing. The cores share the way "
    "to memory and a power budget. Norms and residuals are computed on both ranks. At 1 × 1 the weights are read for "
    "one token, so small messages count: gloo, and DTensor with it, sleeps and wakes for each."
)


def one_step(model: nn.Module, x: Tensor, backward: bool) -> None:
    """Forward, or forward and backward with gradients of the input and of every parameter."""
    if not backward:
        with torch.no_grad():
            model(x)
        return
    model.zero_grad(set_to_none=True)
    x = x.detach().requires_grad_()
    model(x).sum().backward()


def seconds(work: Callable[[], None], threads: int, alone: bool) -> float:
    """Wall-clock seconds; `alone`: rank 0 works while the other waits, so that both cores are its own."""
    dist.barrier()
    torch.set_num_threads(threads)
    start = time.perf_counter()
    if not alone or dist.get_rank() == 0:
        work()
    taken = time.perf_counter() - start
    dist.barrier()
    return taken


def contest(shape: tuple[int, int], backward: bool, repeats: int) -> dict[str, float]:
    """Median seconds of each contestant at one size."""
    torch.manual_seed(0)
    alone = [dist.new_group([rank]) for rank in range(dist.get_world_size())][dist.get_rank()]
    ours, theirs, dense = tplearn_model(None), dtensor_model(), tplearn_model(alone)
    x = torch.randn(*shape, HIDDEN)
    entries = {
        "tplearn": (ours, 1, False),
        "DTensor": (theirs, 1, False),
        "1 thread": (dense, 1, True),
        "2 threads": (dense, 2, True),
    }
    times: dict[str, list[float]] = {name: [] for name in entries}
    for repeat in range(repeats + 2):  # two rounds to warm up
        for name, (model, threads, by_itself) in entries.items():
            taken = seconds(lambda model=model: one_step(model, x, backward), threads, by_itself)
            if repeat >= 2:
                times[name].append(taken)
    return {name: statistics.median(measured) for name, measured in times.items()}


def step_seconds(repeats: int) -> float:
    """Median seconds of forward and backward at 4 × 128."""
    torch.manual_seed(0)
    model, x = tplearn_model(None), torch.randn(4, 128, HIDDEN)
    taken = [seconds(lambda: one_step(model, x, True), 1, False) for _ in range(repeats + 2)]
    return statistics.median(taken[2:])  # two rounds to warm up


def recorder_cost(pairs: int, repeats: int) -> float:
    """Seconds with the recorder / without it, in runs by turns: the median of the ratios."""
    ratios = []
    for _ in range(pairs):
        on, off = (
            run_ranks(step_seconds, 2, repeats, record=record, timeout=300).values[0] for record in (True, False)
        )
        ratios.append(on / off)
    return statistics.median(ratios)


def print_contests(console: Console) -> None:
    """The table of all sizes and passes."""
    columns = ("tplearn ms", "DTensor / tplearn", "1 thread / tplearn", "2 threads / tplearn", "1 thread / 2 threads")
    table = Table("batch × seq", "pass", *columns)
    for shape, repeats in SHAPES.items():
        for backward in (False, True):
            taken = run_ranks(contest, 2, shape, backward, repeats, record=False, timeout=600).values[0]
            ratios = [f"{taken[name] / taken['tplearn']:.2f}×" for name in ("DTensor", "1 thread", "2 threads")]
            ratios.append(f"{taken['1 thread'] / taken['2 threads']:.2f}×")
            passes = "forward + backward" if backward else "forward"
            table.add_row(f"{shape[0]} × {shape[1]}", passes, f"{taken['tplearn'] * 1000:.1f}", *ratios)
            console.print(f"{shape[0]} × {shape[1]} {passes}: DTensor / tplearn {ratios[0]}", style="dim")
    console.print(table)
    console.print("Aims: " + "; ".join(f"{b} × {s}: {aim}" for (b, s), aim in AIMS.items()))
    console.print(LIMIT)


def main() -> None:
    """Print the table and the recorder's cost, under torchrun once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recorder", action="store_true", help="only what the recorder costs")
    options = parser.parse_args()
    console = Console(width=110, quiet=os.environ.get("RANK", "0") != "0")
    if not options.recorder:
        print_contests(console)
    cost = recorder_cost(pairs=7, repeats=8)
    console.print(f"recorder on / off at 4 × 128, forward + backward: {cost:.3f}× (aim: under 1.05×)")


if __name__ == "__main__":
    main()
