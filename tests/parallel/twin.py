"""Runs a layer on one rank and on tp ranks, on the same numbers, and gives both results in dense form to compare."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn import run_ranks
from tplearn.parallel import partitions, sync_gradients
from tplearn.ranks.ledger import Ledger

TOLERANCE = 1e-10  # relative, in float64: rounding is near 1e-15, bugs near 1


@dataclass
class Seen:
    """What a layer did: its output, the gradients of its inputs, and of every parameter in dense form."""

    output: Tensor
    inputs: list[Tensor | None]
    parameters: dict[str, Tensor]


@dataclass(frozen=True)
class Job:
    """build() makes the layer. `inputs` and `upstream` are dense; `cut_in` and `cut_out` say along which dimension each
    rank gets its own part of the floating inputs, and returns its own part of the output."""

    build: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    upstream: Tensor
    seed: int
    cut_in: int | None = None
    cut_out: int | None = None
    sync: bool = True

    def __call__(self) -> tuple[Seen, Ledger | None]:
        """On one rank, in this process or in a group."""
        p, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        torch.manual_seed(self.seed)
        layer = self.build()
        for parameter in layer.parameters():
            if parameter.ndim == 1:  # biases and norms: large ones, at which every mistake shows
                parameter.data.mul_(20)
        inputs = [t.clone() for t in self.inputs]
        if self.cut_in is not None:
            inputs = [t.chunk(p, self.cut_in)[rank].clone() if t.is_floating_point() else t for t in inputs]
        inputs = [t.requires_grad_() if t.is_floating_point() else t for t in inputs]
        before = [t.detach().clone() for t in inputs]
        output = layer(*inputs)
        upstream = self.upstream
        if self.cut_out is not None and p > 1:
            upstream = upstream.narrow(self.cut_out, output.shape[self.cut_out] * rank, output.shape[self.cut_out])
        kept = upstream.clone()
        output.backward(upstream)
        assert all(map(torch.equal, inputs, before)), "an input was changed"
        assert torch.equal(upstream, kept), "the upstream gradient was changed"
        if self.sync:
            sync_gradients(layer)
        gradients = {
            name: (partition.full_tensor(parameter.grad) if partition else parameter.grad)
            for name, parameter, partition in partitions(layer)
        }
        return Seen(output.detach(), [t.grad for t in inputs], gradients)


def on_ranks(job: Job, tp: int) -> list[Seen]:
    """What each of tp ranks saw."""
    return run_ranks(job, tp, record=False).values


def dense(job: Job) -> Seen:
    """What one rank alone sees, in this process: the unsharded twin."""
    return job()


def error(got: Tensor, want: Tensor) -> float:
    """Largest difference, relative to the largest number that is right."""
    assert got.shape == want.shape, f"{tuple(got.shape)} where {tuple(want.shape)} is due"
    return float((got - want).abs().max() / want.abs().max().clamp_min(1e-300))


def errors(job: Job, tp: int) -> dict[str, float]:
    """The relative error of the output, of each input's gradient and of each parameter's, worst over the ranks."""
    truth, seen = dense(job), on_ranks(job, tp)
    found = {"output": _joined_error([s.output for s in seen], truth.output, job.cut_out)}
    for k, gradient in enumerate(truth.inputs):
        if gradient is not None:
            found[f"input {k}"] = _joined_error([s.inputs[k] for s in seen], gradient, job.cut_in)
    for name, gradient in truth.parameters.items():
        found[name] = max(error(s.parameters[name], gradient) for s in seen)
    return found


def assert_like_dense(job: Job, tp: int) -> None:
    """Output, input gradients and every parameter's gradient equal the dense twin's."""
    found = errors(job, tp)
    wrong = {name: value for name, value in found.items() if not value < TOLERANCE}
    assert not wrong, f"tp = {tp}, seed = {job.seed}: {wrong}"


def assert_shows(job: Job, tp: int, name: str) -> None:
    """A broken rule shows in `name`, at least ten times above the tolerance."""
    assert errors(job, tp)[name] > 10 * TOLERANCE, f"nothing is seen in {name}"


def fresh_seed() -> int:
    """A new seed for each test; a failing assertion prints it."""
    return random.SystemRandom().randrange(2**31)


def numbers(*shape: int, seed: int) -> Tensor:
    """Random float64 numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _joined_error(parts: list[Tensor], want: Tensor, cut: int | None) -> float:
    if cut is None:
        return max(error(part, want) for part in parts)
    whole = torch.cat(parts, cut).narrow(cut, 0, want.shape[cut])
    return error(whole, want)
