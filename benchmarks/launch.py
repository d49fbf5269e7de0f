"""How fast ranks start: run_ranks (recorder on) beside torchrun, mp.spawn and an ipyparallel cluster, all in this run.

Each way starts n ranks, joins them in a gloo group, runs one all_reduce and ends. Warm means: the fork server is up.
Also the private memory (USS) of one idle rank, beside a torchrun rank, and what the import of transformers costs ranks
before and after the caller has imported it. Prints ratios; asserts nothing.

    python benchmarks/launch.py [--ranks 2 4 8] [--repeats 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import psutil
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tplearn import run_ranks

SCRIPT = """
import os, sys, time, psutil, torch, torch.distributed as dist
dist.init_process_group("gloo")
dist.all_reduce(torch.ones(4))
if sys.argv[1:] == ["memory"] and dist.get_rank() == 1:
    print("USS", psutil.Process().memory_full_info().uss)
dist.destroy_process_group()
"""


def program() -> None:
    dist.all_reduce(torch.ones(4))


def idle_memory() -> int:
    """USS of this rank in bytes, after one all_reduce."""
    program()
    dist.barrier()
    return psutil.Process().memory_full_info().uss


def tiny_llama() -> None:
    """A model of transformers, as a reader builds it on a rank."""
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4))


def spawned(rank: int, world_size: int, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    program()


def by_spawn(world_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(spawned, (world_size, f"{folder}/store"), nprocs=world_size)


def by_torchrun(world_size: int, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script.py")
        with open(script, "w") as file:
            file.write(SCRIPT)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world_size}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run([*command, script, *arguments], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"torchrun failed:\n{done.stderr}")
    return done.stdout


def by_ipyparallel(world_size: int) -> None:
    import ipyparallel

    with ipyparallel.Cluster(n=world_size, log_level=50) as clients, tempfile.TemporaryDirectory() as folder:
        arguments = [range(world_size), [world_size] * world_size, [f"{folder}/store"] * world_size]
        clients[:].map_sync(_on_engine, *arguments)


def _on_engine(rank: int, world_size: int, store: str) -> None:
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    dist.all_reduce(torch.ones(4))


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--repeats", type=int, default=5, help="of run_ranks; the slow ways run fewer times")
    options = parser.parse_args()
    run_ranks(program, 2)  # the fork server starts once for a session
    ways = {
        "run_ranks": (lambda n: run_ranks(program, n), 4 * options.repeats),
        "torchrun": (by_torchrun, 2),
        "mp.spawn": (by_spawn, 2),
        "ipyparallel": (by_ipyparallel, 1),
    }
    table = Table("ranks", *(f"{name} [s]" for name in ways), *(f"{name} / run_ranks" for name in list(ways)[1:]))
    console = Console(stderr=True)
    for n in options.ranks:
        seconds = {
            name: median_seconds(lambda call=call, n=n: call(n), repeats)
            for name, (call, repeats) in track(ways.items(), description=f"{n} ranks", console=console)
        }
        own = seconds["run_ranks"]
        table.add_row(
            str(n), *(f"{s:.3f}" for s in seconds.values()), *(f"{s / own:.0f}×" for s in list(seconds.values())[1:])
        )
    print_table = Console(width=140).print
    print_table(table)
    own = run_ranks(idle_memory, 4).values[1] / 1e6
    peer = int(by_torchrun(4, "memory").split("USS")[1].split()[0]) / 1e6
    print_table(f"private memory of an idle rank: run_ranks {own:.0f} MB, torchrun {peer:.0f} MB ({peer / own:.1f}×)")
    by_themselves = [median_seconds(lambda n=n: run_ranks(tiny_llama, n), 3) for n in options.ranks]
    import transformers.models.llama.modeling_llama  # noqa: F401 (from here on, ranks find it loaded)

    first = median_seconds(lambda: run_ranks(tiny_llama, options.ranks[0]), 1)
    found = [median_seconds(lambda n=n: run_ranks(tiny_llama, n), options.repeats) for n in options.ranks]
    for n, before, after in zip(options.ranks, by_themselves, found, strict=True):
        print_table(f"a Llama of transformers on {n} ranks: {before:.2f} s, after the caller's import {after:.2f} s")
    print_table(f"the first call after the caller's import, on {options.ranks[0]} ranks: {first:.2f} s")


if __name__ == "__main__":
    main()
