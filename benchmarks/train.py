"""A training step on four meshes, by hand, with DDP, with FSDP2, and beside Hugging Face with a plan:
`python benchmarks/train.py`.

tiny-llama's 3.2 million weights, 8 windows of 64 tokens, AdamW and clipping, float32. On each mesh all contestants run
in one session on the same ranks, a step of each in turns, in another order each time; a number is the median of the
steps. Needs two cores.
"""

import logging
import random
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torch.distributed as dist
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from tplearn import run_ranks
from tplearn.commands.train import TINY
from tplearn.llama.apply_plan import apply_plan
from tplearn.llama.data_parallel import ENGINES
from tplearn.llama.plan import finish_gradients, forward_backward, llama_plan
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer, make_optimizer

MESHES = ((1, 1), (4, 1), (2, 2), (1, 4))
RECIPE = Recipe(batch=8, length=64)
STEPS, WARM = 30, 5
AIM = 1.05
LIMIT = (
    "What limits it: four ranks share two cores. With 4 × 1 each computes a quarter of the windows and sends all "
    "gradients; with 1 × 4 each computes a quarter of the columns, norms and residuals four times over, and meets the "
    "others 26 times in small all-reduces; and the optimizer's work is 4, 2 or 1 copies of the model."
)


def ours(mesh: DeviceMesh, engine: str) -> Callable[[Tensor], object]:
    """A step of tplearn's Trainer."""
    trainer = Trainer.fresh(TINY, RECIPE, mesh, data_parallel=engine)
    return trainer.step


def theirs(mesh: DeviceMesh) -> Callable[[Tensor], object]:
    """A step of LlamaForCausalLM: the plan over tp, and DDP or FSDP2 over dp."""
    import transformers

    warnings.simplefilter("ignore")
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY.fields()))
    (dp, tp), wrapped = mesh.shape, model
    if tp > 1:
        apply_plan(model, mesh["tp"], llama_plan())
    if dp > 1 and tp > 1:
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh["dp"])
        fully_shard(model, mesh=mesh["dp"])
    elif dp > 1:
        wrapped = DistributedDataParallel(model, process_group=mesh.get_group("dp"))
    optimizer = make_optimizer(model, RECIPE)

    def step(windows: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        ids, targets = windows[:, :-1], windows[:, 1:]
        if tp > 1:
            forward_backward(wrapped, ids, targets)
            finish_gradients(model)
        else:
            F.cross_entropy(wrapped(ids).logits.flatten(0, 1), targets.flatten()).backward()
        clip(model)
        optimizer.step()

    return step


def clip(model: nn.Module) -> None:
    """PyTorch's own clipping, a norm for each mesh: plain parameters and those on each mesh by themselves."""
    kinds: dict[object, list[Tensor]] = {}
    for parameter in model.parameters():
        kinds.setdefault(getattr(parameter.grad, "device_mesh", None), []).append(parameter.grad)
    norms = [nn.utils.get_total_norm(gradients) for gradients in kinds.values()]
    squares = [(norm.full_tensor() if hasattr(norm, "full_tensor") else norm) ** 2 for norm in norms]
    norm = torch.stack(squares).sum().sqrt()
    for gradients in kinds.values():
        torch._foreach_mul_(gradients, torch.clamp(RECIPE.clip / (norm + 1e-6), max=1.0).item())


def contest(shape: tuple[int, int]) -> dict[str, float]:
    """Median seconds of a step of each contestant, on rank 0."""
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
    torch.set_num_threads(1)
    windows = torch.randint(TINY.vocab_size, (RECIPE.batch // shape[0], RECIPE.length + 1))
    # The first model of a process is 5 to 15 % slower for as long as it lives, whoever made it: this one has no part.
    unmeasured = ours(mesh, "hand")
    unmeasured(windows)
    entries = {engine: ours(mesh, engine) for engine in ENGINES} | {"Hugging Face": theirs(mesh)}
    taken: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(WARM + STEPS):
        # In an order of its own each time: what ran before leaves traces in caches and memory.
        for name in random.Random(number).sample([*entries], len(entries)):
            dist.barrier()
            start = time.perf_counter()
            entries[name](windows)
            dist.barrier()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[WARM:]) for name, seconds in taken.items()}


def main() -> None:
    """Print tokens a second, and how far the way by hand is from the fastest of the others."""
    names = [*(f"tplearn, {engine}" for engine in ENGINES), "Hugging Face"]
    table = Table("dp × tp", *names, "hand / fastest other", title="tokens a second")
    for shape in MESHES:
        taken = run_ranks(contest, shape[0] * shape[1], shape, record=False, timeout=900).values[0]
        ratio = taken["hand"] / min(seconds for name, seconds in taken.items() if name != "hand")
        speeds = [f"{RECIPE.tokens / seconds:,.0f}" for seconds in taken.values()]
        table.add_row(f"{shape[0]} × {shape[1]}", *speeds, f"{ratio:.2f}× the time")
    console = Console(width=110)
    console.print(table)
    console.print(f"Aim: by hand at most {AIM}× the time of the fastest other, on each mesh.")
    console.print(LIMIT)


if __name__ == "__main__":
    main()
