"""Record the small curves of chapter 13 into overlay.json: `python figures/recorded/overlay.py`, about a minute."""

import codecs
import contextlib
import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from tplearn import run_ranks
from tplearn.llama import LlamaConfig
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.parallel import Place

CONFIG = LlamaConfig(
    hidden_size=64,
    intermediate_size=192,
    num_hidden_layers=2,
    num_attention_heads=8,
    num_key_value_heads=2,
    vocab_size=128,
)
RECIPE = Recipe(steps=60, batch=8, length=32, peak_rate=1e-2, warmup=0, seed=0)
MESHES = ((1, 1), (2, 2), (1, 4), (4, 1))


def zen() -> Tensor:
    """The Zen of Python, which is the same in every Python, a token for each character."""
    with contextlib.redirect_stdout(None):
        import this
    return torch.tensor(list(codecs.decode(this.s, "rot13").encode()))


def losses(shape: tuple[int, int], dtype: torch.dtype, steps: int, dealt_over_all: bool = False) -> list[float]:
    """The losses of so many steps on a mesh; dealt_over_all: each rank reads windows of its own, also along tp."""
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
    trainer, curve = Trainer.fresh(CONFIG, RECIPE, mesh, dtype=dtype), []
    hands = batches(zen(), RECIPE, Place.of() if dealt_over_all else trainer.dp)
    for _ in range(steps):
        loss, _ = trainer.step(next(hands))
        curve.append(loss.item())
    assert dist.get_world_size() == shape[0] * shape[1]
    return curve


def record(steps: int = RECIPE.steps) -> dict[str, list[float]]:
    """{name: losses}: each mesh in float64, one process and 2×2 in float32, and 2×2 with its data cut over tp."""
    ways = {f"{dp}×{tp}": ((dp, tp), torch.float64) for dp, tp in MESHES}
    ways |= {f"{dp}×{tp} float32": ((dp, tp), torch.float32) for dp, tp in MESHES[:2]}
    ways["2×2, data cut over tp"] = (2, 2), torch.float64, True
    told = {}
    for name, (shape, dtype, *cut) in ways.items():
        told[name] = run_ranks(losses, shape[0] * shape[1], shape, dtype, steps, *cut, timeout=600).values[0]
    return told


if __name__ == "__main__":
    lines = [f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(curve)}" for name, curve in record().items()]
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
