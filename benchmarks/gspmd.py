"""The Llama on eight JAX devices, beside eight gloo ranks and JAX on one device: `python benchmarks/gspmd.py`.

tiny-llama, 8 texts of 32 tokens, float32; for each mesh the seconds to load, to compile and of one forward pass, and
the peak memory of the process, or of all eight ranks together. Every entry runs in fresh processes, the three in turns.
"Devices" are threads of one process, so nothing here says how fast eight chips are: it says what a reader waits for.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.distributed.device_mesh import init_device_mesh

from tplearn import run_ranks
from tplearn.llama import TINY_LLAMA, Llama

MESHES = ((1, 8), (2, 4), (4, 2), (8, 1))
ROUNDS, PASSES, TEXTS, TOKENS = 3, 10, 8, 32
Times = dict[str, float]  # seconds to load and to compile, of a pass; bytes at the peak


def peak_memory() -> int:
    """Bytes that this process had in memory at most."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def in_jax(batch: int, model: int) -> Times:
    """On one mesh of JAX devices, in this process; a mesh of one is JAX as anybody runs it."""
    import jax
    import numpy as np

    from tplearn.gspmd.checkpoint import load
    from tplearn.gspmd.devices import cpu_devices, make_mesh
    from tplearn.gspmd.model import forward
    from tplearn.gspmd.specs import text_sharding

    cpu_devices(batch * model)
    mesh = make_mesh(batch, model)
    start = time.perf_counter()
    weights = load(TINY_LLAMA, mesh)
    jax.block_until_ready(weights.arrays)
    loaded = time.perf_counter()
    ids = jax.device_put(np.zeros((TEXTS, TOKENS), dtype=np.int32), text_sharding(mesh))
    program = jax.jit(lambda arrays, ids: forward(arrays, weights.config, ids)).lower(weights.arrays, ids).compile()
    compiled = time.perf_counter()
    passes = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        program(weights.arrays, ids).block_until_ready()
        passes.append(time.perf_counter() - begin)
    return {
        "load": loaded - start,
        "compile": compiled - loaded,
        "forward": statistics.median(passes),
        "memory": peak_memory(),
    }


@torch.inference_mode()
def on_ranks(batch: int, model: int) -> Times:
    """What one of the gloo ranks sees."""
    torch.set_num_threads(1)
    mesh = init_device_mesh("cpu", (batch, model), mesh_dim_names=("batch", "model"))
    dist.barrier()
    start = time.perf_counter()
    llama = Llama.from_pretrained(TINY_LLAMA, mesh.get_group("model"))
    dist.barrier()
    loaded = time.perf_counter()
    ids, passes = torch.zeros(TEXTS // batch, TOKENS, dtype=torch.long), []
    for _ in range(PASSES):
        dist.barrier()
        begin = time.perf_counter()
        llama(ids)
        dist.barrier()
        passes.append(time.perf_counter() - begin)
    return {
        "load": loaded - start,
        "compile": 0.0,
        "forward": statistics.median(passes[1:]),
        "memory": peak_memory(),
    }


def fresh(batch: int, model: int) -> Times:
    """`in_jax` in a process of its own: the number of devices is fixed once a process uses JAX."""
    ran = subprocess.run([sys.executable, __file__, str(batch), str(model)], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def ranks_together(batch: int, model: int) -> Times:
    """The times of rank 0, and the memory of all ranks."""
    values = run_ranks(on_ranks, batch * model, batch, model, record=False, timeout=300).values
    return values[0] | {"memory": sum(value["memory"] for value in values)}


def main() -> None:
    """Print the table, and how the forward passes compare."""
    entries = {("JAX, one device", (1, 1)): fresh}
    for mesh in MESHES:
        entries |= {("JAX, 8 devices", mesh): fresh, ("tplearn, 8 gloo ranks", mesh): ranks_together}
    taken: dict[tuple, list[Times]] = {entry: [] for entry in entries}
    console = Console(width=110)
    for _ in track(range(ROUNDS), description="rounds", console=console, transient=True):
        for (name, mesh), measure in entries.items():
            taken[name, mesh].append(measure(*mesh))
    alone = statistics.median(run["forward"] for run in taken["JAX, one device", (1, 1)])
    table = Table("", "batch × model", "load", "compile", "forward", "/ one device", "peak memory")
    for (name, (batch, model)), runs in taken.items():
        load, compiled, forward, memory = (
            statistics.median(run[key] for run in runs) for key in ("load", "compile", "forward", "memory")
        )
        compiling = f"{compiled:.2f} s" if compiled else "–"
        row = (
            f"{load:.2f} s",
            compiling,
            f"{forward * 1e3:.1f} ms",
            f"{forward / alone:.2f}×",
            f"{memory / 1e9:.2f} GB",
        )
        table.add_row(name, f"{batch} × {model}", *row)
    console.print(table)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(in_jax(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
