"""Trains a Llama on text, on a mesh of data parallel × tensor parallel: one curve, whatever the mesh."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from tplearn.llama.config import LlamaConfig
from tplearn.llama.data_parallel import engine_of, place_in
from tplearn.llama.model import Llama
from tplearn.llama.recipe import Recipe
from tplearn.llama.windows import batches
from tplearn.parallel import ParallelDropout, clip_gradients, sync_gradients
from tplearn.parallel.collectives import plain_all_reduce


class Trainer:
    """A run: a model cut over the mesh's "tp", replicas of it over "dp", and AdamW for this rank's own numbers.

    model: `Llama(config, mesh.get_group("tp"))`, drawn from the same seed on all ranks; without a mesh one replica.
    data_parallel: "hand", "ddp" or "fsdp" (`data_parallel.py`). `done` counts the steps.

    Raises ValueError for a mesh of other names, another engine, and a batch that does not divide.
    """

    def __init__(
        self, model: Llama, recipe: Recipe, mesh: DeviceMesh | None = None, data_parallel: str = "hand"
    ) -> None:
        self.model, self.recipe, self.mesh, self.done = model, recipe, mesh, 0
        self.dp = place_in(mesh, "dp")
        recipe.share(self.dp.world_size)
        self.engine = engine_of(data_parallel, model, mesh)
        self.optimizer = make_optimizer(model, recipe)

    @staticmethod
    def fresh(
        config: LlamaConfig,
        recipe: Recipe,
        mesh: DeviceMesh | None = None,
        *,
        data_parallel: str = "hand",
        sequence_parallel: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> "Trainer":
        """A model drawn from the recipe's seed, and its trainer."""
        torch.manual_seed(recipe.seed)
        tp, dp = place_in(mesh, "tp"), place_in(mesh, "dp")
        drop = {"dropout": recipe.dropout, "data_group": dp}
        model = Llama(config, tp, sequence_parallel=sequence_parallel, **drop).to(device, dtype)
        return Trainer(model, recipe, mesh, data_parallel)

    def run(self, stream: Tensor, report: Callable[[float, float], None]) -> None:
        """All steps that are left, on windows of `stream` [tokens], the same on every rank; `report(loss, norm)` each.

        Raises ValueError where the text has less than one batch of windows.
        """
        device = next(self.model.parameters()).device
        shares = batches(stream, self.recipe, self.dp, self.done)
        while self.done < self.recipe.steps:
            loss, norm = self.step(next(shares).to(device))
            report(loss.item(), norm.item())

    def step(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """One step on this replica's windows [batch/dp, length + 1], where every token predicts the next.

        Returns the loss before it, and the gradient's norm before clipping: those of all replicas, on every rank.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.done)
        self.optimizer.zero_grad(set_to_none=True)
        with self._own_numbers():
            loss = self._gradients(windows)
        norm = clip_gradients(self.model, self.recipe.clip)  # of the mean, over the shards: each number once
        self.optimizer.step()
        self.done += 1
        return plain_all_reduce(loss, self.dp) / self.dp.world_size, norm

    @contextlib.contextmanager
    def _own_numbers(self) -> Iterator[None]:
        """Dropout's random numbers follow from the seed and the step alone, so that a resumed run draws the same."""
        if not any(layer.p > 0 for layer in self.model.modules() if isinstance(layer, ParallelDropout)):
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed((self.recipe.seed * 1_000_003 + self.done) % 2**63)
            yield

    def _gradients(self, windows: Tensor) -> Tensor:
        """Backward passes, then the sums and the mean that are due; returns this replica's loss."""
        *firsts, last = parts = windows.chunk(self.recipe.accumulate)
        with self.engine.accumulating():
            losses = [self._backward(part, len(parts)) for part in firsts]
        losses.append(self._backward(last, len(parts)))
        self.engine.mean_gradients()
        sync_gradients(self.model)
        return torch.stack(losses).sum()

    def _backward(self, windows: Tensor, parts: int) -> Tensor:
        loss = self.engine.loss(windows[:, :-1], windows[:, 1:]) / parts
        loss.backward()
        return loss.detach()


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices, not norms and biases."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.95))
