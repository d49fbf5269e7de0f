"""How models under a plan are watched: what comes out, every gradient in full, what is cut, what norms see."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ParallelStyle, parallelize_module

from tplearn.checks.ch14_dtensor.twin import HIDDEN, Model, ParallelStack, drawn
from tplearn.checks.ch14_dtensor.watch import (
    Stopped,
    gradients,
    local,
    matches,
    may_stop,
    mesh_of,
    part_of,
    weights,
    written,
)
from tplearn.checks.compare import describe
from tplearn.checks.inputs import randn
from tplearn.checks.observe import plain

BATCH, SEQ = 2, 8  # two tokens a rank on 4: one would be broadcast where lengths do not fit
Plan = dict[str, ParallelStyle]


def of_plan(fn: Callable[[nn.Module], Plan], seed: int, inputs: tuple[int, int]) -> dict[str, Any]:
    """A model of (words, layers) under the plan that fn makes for it: logits, gradients, what is cut."""
    words, layers = inputs
    model, generator = drawn(Model(words, layers), seed), Generator().manual_seed(seed + 1)
    ids = torch.randint(words, (BATCH, SEQ), generator=generator)
    return _under(fn(model), model, lambda: model(ids), randn(generator, BATCH, SEQ, words))


def of_mended_plan(fn: Callable[[Plan], Plan], seed: int, inputs: tuple[int, Plan]) -> dict[str, Any]:
    """A stack of parallel blocks under the plan that fn makes of another: result, gradients with x's, what is cut."""
    layers, plan = inputs
    model, generator = drawn(ParallelStack(layers), seed), Generator().manual_seed(seed + 1)
    x, upstream = (randn(generator, BATCH, SEQ, HIDDEN) for _ in range(2))
    x.requires_grad_()
    seen = _under(fn(plan), model, lambda: model(x), upstream)
    if isinstance(seen["gradient"], dict):
        seen["gradient"] = {"x": plain(x.grad)} | seen["gradient"]
    return seen


def _under(plan: Any, model: nn.Module, run: Callable[[], Any], upstream: Tensor) -> dict[str, Any]:
    """What is seen of the model after parallelize_module. "runs", where it stops, says in which module and why.

    "plan" says which keys match no module: PyTorch only warns of them.
    """
    if not isinstance(plan, dict):
        says = f"your function returned {describe(plain(plan))}, where a plan, a dict, is due."
        return dict.fromkeys(("plan", "forward", "gradient", "weights"), says)
    seen: dict[str, Any] = {}
    lost = [key for key in plan if not matches(model, key)]
    if lost:
        seen["plan"] = f"no module is called {' or '.join(map(repr, lost))}; PyTorch warns of such a key and goes on."
    try:
        with may_stop(model, "parallelize_module"):
            parallelize_module(model, mesh_of(), plan, src_data_rank=None)
        with may_stop(model, "the model"):
            result = run()
        seen["forward"] = _shown(result)
        if not isinstance(seen["forward"], Tensor) or result.shape != upstream.shape or not result.requires_grad:
            seen["gradient"] = f"none for a result that is not of shape {list(upstream.shape)}"
        else:
            with may_stop(model, "the backward pass"):
                result.backward(upstream)
            seen["gradient"] = gradients(model)
    except Stopped as stop:
        seen |= {"runs": stop.says, "forward": stop.says, "gradient": stop.says}
    return seen | {"weights": weights(model)}


def _shown(result: Any) -> Any:
    return f"a DTensor, {written(result)}" if isinstance(result, DTensor) else plain(result)


@dataclass
class _NormsSee:
    """Hooks that count the tokens which the norms of the hidden numbers give out on this rank."""

    model: nn.Module
    tokens: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, module in self.model.named_modules():
            if isinstance(module, nn.RMSNorm) and module.normalized_shape == (HIDDEN,):
                self.tokens[name] = 0
                module.register_forward_hook(lambda _, args, result, name=name: self._count(name, result))

    def _count(self, name: str, result: Tensor) -> None:
        self.tokens[name] = max(self.tokens[name], local(result).shape[1])


@contextlib.contextmanager
def _loss_as_before() -> Iterator[None]:
    """A loss_parallel block that ends in an error leaves its loss on for all that comes after."""
    handlers = DTensor._op_dispatcher._custom_op_handlers
    before = dict(handlers)
    try:
        yield
    finally:
        handlers.clear()
        handlers.update(before)


def of_step(fn: Callable[..., Any], seed: int, inputs: tuple[int, int]) -> dict[str, Any]:
    """A step that fn makes with a model of (words, layers): loss, gradients, what is cut, "tokens in a norm"."""
    words, layers = inputs
    model, generator = drawn(Model(words, layers), seed), Generator().manual_seed(seed + 1)
    ids, targets = (torch.randint(words, (BATCH, SEQ), generator=generator) for _ in range(2))
    norms = _NormsSee(model)
    try:
        with _loss_as_before(), may_stop(model):
            loss = fn(model, mesh_of(), ids.clone(), targets.clone())
    except Stopped as stop:
        seen = dict.fromkeys(("runs", "forward", "gradient", "tokens in a norm"), stop.says)
        return seen | {"weights": weights(model)}
    seen = {"forward": part_of(loss) if isinstance(loss, Tensor) else plain(loss), "gradient": gradients(model)}
    return seen | {"tokens in a norm": norms.tokens, "weights": weights(model)}
