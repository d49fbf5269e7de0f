"""The seconds of a step that chapter 13 counts tokens with: `python figures/recorded/step_seconds.py`, half a minute.

Four ranks; each replica reads 4 windows of 32 tokens. A step of each mesh in turns; medians, in milliseconds.
"""

import statistics
import time

import torch
import torch.distributed as dist
from overlay import CONFIG  # the page's model; it lies beside this script
from torch.distributed.device_mesh import init_device_mesh

from tplearn import run_ranks
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer

MESHES = ((4, 1), (2, 2), (1, 4))
WINDOWS, LENGTH, STEPS, WARM = 4, 32, 160, 10


def milliseconds() -> dict[tuple[int, int], float]:
    """{(dp, tp): the median of a step}."""
    trainers, times = {}, {shape: [] for shape in MESHES}
    for dp, tp in MESHES:
        mesh = init_device_mesh("cpu", (dp, tp), mesh_dim_names=("dp", "tp"))
        trainers[dp, tp] = Trainer.fresh(CONFIG, Recipe(batch=WINDOWS * dp, length=LENGTH), mesh)
    for step in range(STEPS):
        for shape, trainer in trainers.items():
            torch.manual_seed(step * dist.get_world_size() + trainer.dp.rank)
            own = torch.randint(CONFIG.vocab_size, (WINDOWS, LENGTH + 1))
            dist.barrier()
            began = time.perf_counter()
            trainer.step(own)
            dist.barrier()
            if step >= WARM:
                times[shape].append(1000 * (time.perf_counter() - began))
    return {shape: statistics.median(own_times) for shape, own_times in times.items()}


if __name__ == "__main__":
    for (dp, tp), median in run_ranks(milliseconds, 4, record=False, timeout=600).values[0].items():
        print(f"{dp}×{tp}: {median:.1f} ms")
