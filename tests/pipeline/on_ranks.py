"""What the tests of pipelines run on ranks: a small Llama in stages, and what the engine really does in which order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.data_parallel import ByHand
from tplearn.parallel import Place, partitions, sync_gradients
from tplearn.pipeline.engine import Pipeline

CONFIG = LlamaConfig(16, 24, 5, 4, 2, 31, max_position_embeddings=64)  # five layers: stages are uneven
BATCH, SEQ, STEPS = 8, 6, 3


@dataclass(frozen=True)
class Case:
    """A schedule with m micro-batches and v stages a rank."""

    schedule: str
    m: int
    v: int | None = None
    sizes: tuple[int, ...] | None = None


def texts(seed: int) -> Tensor:
    """[steps, batch, seq + 1] of words."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(CONFIG.vocab_size, (STEPS, BATCH, SEQ + 1), generator=random)


def whole_model(seed: int, tp: Place | None = None, config: LlamaConfig = CONFIG, sp: bool = False) -> Llama:
    torch.manual_seed(seed)
    model = Llama(config, tp or Place(), sequence_parallel=sp).double()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data.mul_(3)  # norms of one hide mistakes
    return model


def adam_w(parameters: Iterable[Tensor]) -> torch.optim.AdamW:
    """eps: with the usual 1e-8, the rounding of a gradient near zero would move its weight by more than 1e-12.

    With these, one process that adds its batch in another order moves a weight by 1.5e-14 at most, over 150 seeds.
    """
    return torch.optim.AdamW(parameters, lr=3e-3, eps=1e-4)


def recorded(pipe: Pipeline) -> list[str]:
    """A list that fills with what the engine computes on this rank, in torch's letters."""
    done: list[str] = []

    def watch(stage: object, name: str, letter: Callable[[dict], str]) -> None:
        plain = getattr(stage, name)

        def call(number: int, *args: object, **kwargs: object) -> object:
            done.append(f"{stage.stage_index}{letter(kwargs)}{number}")
            return plain(number, *args, **kwargs)

        setattr(stage, name, call)

    for stage in pipe.stages:
        watch(stage, "forward_one_chunk", lambda _: "F")
        watch(stage, "backward_one_chunk", lambda kwargs: "B" if kwargs.get("full_backward", True) else "I")
        watch(stage, "backward_weight_one_chunk", lambda _: "W")
    return done


def gradients_and_orders(cases: list[Case], seed: int) -> list[tuple[float | None, dict[str, Tensor], list[str]]]:
    """Of each case: the loss where the last stage is, this rank's gradients, and what it computed one after another."""
    told = []
    for case in cases:
        pipe = Pipeline(whole_model(seed), case.schedule, case.m, stages_per_rank=case.v, sizes=case.sizes)
        done = recorded(pipe)
        windows = texts(seed)[0]
        loss = pipe.step(windows[:, :-1], windows[:, 1:])
        gradients = {name: p.grad for part in pipe.parts for name, p in part.named_parameters()}
        told.append((None if loss is None else loss.item(), gradients, done))
    return told


def train_on_mesh(
    shape: tuple[int, int, int], case: Case, seed: int, sp: bool = False
) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of this replica where the last stage is, and the dense weights of this rank's stages, after AdamW."""
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("pp", "dp", "tp"))
    model = whole_model(seed, Place.of(mesh.get_group("tp")), sp=sp)
    pipe = Pipeline(model, case.schedule, case.m, mesh.get_group("pp"), stages_per_rank=case.v)
    optimizer = adam_w(pipe.parts.parameters())
    replicas = ByHand(pipe.parts, mesh["dp", "tp"])
    losses = []
    for windows in texts(seed):
        mine = windows.chunk(shape[1])[mesh["dp"].get_local_rank()]
        optimizer.zero_grad()
        loss = pipe.step(mine[:, :-1], mine[:, 1:])
        replicas.mean_gradients()
        sync_gradients(pipe.parts)
        optimizer.step()
        losses += [] if loss is None else [loss.item()]
    weights = {n: cut.full_tensor(p.detach()) for part in pipe.parts for n, p, cut in partitions(part)}
    return losses, weights
