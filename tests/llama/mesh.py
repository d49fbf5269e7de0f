"""What the tests of training run on a mesh of ranks: a small Llama, real text, and what is told of a run."""

import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from tplearn.llama import LlamaConfig
from tplearn.llama.corpus import token_stream, train_tokenizer
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.parallel import partitions
from tplearn.parallel.fsdp import whole

# Two KV heads, so that ranks hold copies; an odd vocabulary, so that there is padding; a tie.
CONFIG = LlamaConfig(32, 48, 2, 8, 2, 301, tie_word_embeddings=True)
RECIPE = Recipe(steps=30, batch=8, length=16, peak_rate=3e-3, warmup=5, seed=4)
Curve = list[tuple[float, float]]


@cache
def text() -> Tensor:
    """[tokens] of Python's json package."""
    sources = [path.read_text() for path in sorted(Path(json.__file__).parent.glob("*.py"))]
    return token_stream(train_tokenizer(sources, CONFIG.vocab_size), sources)


def mesh_of(dp: int, tp: int) -> DeviceMesh:
    return init_device_mesh("cpu", (dp, tp), mesh_dim_names=("dp", "tp"))


def trainer_on(
    mesh: tuple[int, int], recipe: Recipe = RECIPE, engine: str = "hand", sp: bool = False, config: LlamaConfig = CONFIG
) -> Trainer:
    ways = {"data_parallel": engine, "sequence_parallel": sp, "dtype": torch.float64}
    return Trainer.fresh(config, recipe, mesh_of(*mesh), **ways)


def curve(trainer: Trainer, stream: Tensor) -> Curve:
    """(loss, norm) of every step that is left."""
    steps: Curve = []
    trainer.run(stream, lambda loss, norm: steps.append((loss, norm)))
    return steps


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """Every dense parameter, on every rank."""
    return {name: cut.full_tensor(whole(parameter)) for name, parameter, cut in partitions(trainer.model)}


def furthest(ours: Curve, due: Curve) -> float:
    """The largest difference of two curves, relative to what is due."""
    assert len(ours) == len(due) > 0
    ours, due = torch.tensor(ours, dtype=torch.float64), torch.tensor(due, dtype=torch.float64)
    return float(((ours - due).abs() / due.abs()).max())


def apart(ours: dict[str, Tensor], due: dict[str, Tensor]) -> float:
    """The largest difference of two models' weights, relative to the largest number of each parameter."""
    assert ours.keys() == due.keys()
    return max(float((ours[name] - due[name]).abs().max() / due[name].abs().max()) for name in due)
