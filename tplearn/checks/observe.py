"""What is seen of an answer on one case: its result, its gradients, its ledger, and whether its inputs were left alone.

An observer is a function (fn, *args, **kwargs) -> {aspect: value}; values are numbers, strings, tensors, lists, dicts.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.compare import Opaque, first_difference
from tplearn.ranks.ledger import Ledger

Observation = dict[str, Any]  # aspect -> value, or {"error": Failure}
Observer = Callable[..., Observation]
UPSTREAM_SEED = 20_231
UNREGISTERED = "an autograd kernel was not registered"  # how torch says that it does not know an op's gradient
UNKNOWN = (
    "the gradient passed through a collective that autograd does not know, such as dist.all_reduce, as if nothing had "
    "been sent there. torch warns of it (pytorch/pytorch#121587). A collective with a gradient is an autograd Function."
)


@dataclass(frozen=True)
class WithLedger:
    """An observer for an answer that takes a `ledger=`: it adds what was recorded there as the aspect "ledger"."""

    observer: Observer
    ledger: Callable[[], Ledger] = Ledger

    def __call__(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Observe fn(*args, ledger=...) and add its rows."""
        ledger = self.ledger()
        seen = self.observer(functools.partial(fn, ledger=ledger), *args, **kwargs)
        return seen | {"ledger": list(ledger.rows)}


def forward(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """{"forward": fn(*args)} and, where an argument was changed in place, {"inputs": which}."""
    before = plain((args, kwargs))
    seen: dict[str, Any] = {"forward": plain(fn(*args, **kwargs))}
    return seen | changed_inputs(before, plain((args, kwargs)))


def forward_and_gradient(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """As `forward`, and "gradient": what reaches every floating tensor among the arguments, in their structure.

    The upstream gradient is random and differs from one result tensor to the next: all ones could not see permuted
    shards, and the same for each rank could not see which rank's copy was used.
    """
    before = plain((args, kwargs))
    leaves: list[Tensor] = []
    live_args, live_kwargs = with_gradients((args, kwargs), leaves)
    result = fn(*live_args, **live_kwargs)
    seen: dict[str, Any] = {"forward": plain(result)} | changed_inputs(before, plain((live_args, live_kwargs)))
    outputs = [tensor for tensor in tensors_in(result) if tensor.requires_grad]
    if outputs:
        generator = torch.Generator().manual_seed(UPSTREAM_SEED)
        upstream = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in outputs]
        try:
            seen |= backpropagate(outputs, upstream)
        except RuntimeError:
            if "inputs" not in seen:
                raise
            return seen | {"gradient": "no way back: an argument was changed in place"}
    gradients = iter([leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves])
    if outputs:
        of_args, of_kwargs = _in_structure((args, kwargs), gradients)
        return seen | {"gradient": plain([*of_args, *([of_kwargs] if kwargs else [])])}
    return seen | {"gradient": "nothing to back-propagate: the result is cut off from the arguments"}


def backpropagate(outputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> dict[str, Any]:
    """Run the backward pass; {"warning": a sentence} where it went through a collective that autograd does not know."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.autograd.backward(outputs, upstream)
    return {"warning": UNKNOWN} if any(UNREGISTERED in str(warning.message) for warning in caught) else {}


def plain(value: Any, depth: int = 0) -> Any:
    """A copy made of tensors, numbers, strings, lists and dicts; what is none of these becomes Opaque(type)."""
    if depth > 20:
        return Opaque("something nested too deeply")
    if type(value).__name__ == "AsyncCollectiveTensor":  # what a functional collective gives before it is waited for
        value = value.trigger_wait()
    if type(value) in (Tensor, torch.nn.Parameter):
        if value.layout != torch.strided or value.device.type == "meta":
            return Opaque(f"a tensor without values ({value.layout}, device {value.device.type})")
        return value.detach().cpu().clone()
    if value is None or type(value) in (bool, int, float, str, Opaque):
        return value
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and type(value).__name__ != "ndarray":
        number = value.item()
        return number if type(number) in (bool, int, float) else Opaque(type(value).__qualname__)
    if isinstance(value, list | tuple | range):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str | int) else repr(key): plain(item, depth + 1) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, torch.dtype):
        return str(value)
    return Opaque(type(value).__qualname__)


def changed_inputs(before: tuple[Any, Any], after: tuple[Any, Any]) -> dict[str, Any]:
    """{"inputs": positions or names of the changed arguments}, or {} when all are as they were."""
    changed: list[int | str] = [
        k for k, pair in enumerate(zip(before[0], after[0], strict=True)) if first_difference(*pair)
    ]
    changed += [name for name in before[1] if first_difference(before[1][name], after[1][name])]
    return {"inputs": changed} if changed else {}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def with_gradients(value: Any, leaves: list[Tensor]) -> Any:
    """The same arguments with fresh tensors that require gradients; the leaves are collected.

    The answer gets a clone of each leaf: a change in place then shows in the values and raises no autograd error.
    """
    if isinstance(value, Tensor) and value.is_floating_point():
        leaves.append(value.detach().clone().requires_grad_())
        return leaves[-1].clone()
    if isinstance(value, list | tuple):
        return type(value)([with_gradients(item, leaves) for item in value])
    if isinstance(value, dict):
        return {key: with_gradients(item, leaves) for key, item in value.items()}
    return value


def _in_structure(value: Any, gradients: Iterator[Tensor]) -> Any:
    """The gradients in the structure of the arguments; None where there is nothing to differentiate."""
    if isinstance(value, Tensor):
        return next(gradients) if value.is_floating_point() else None
    if isinstance(value, list | tuple):
        return [_in_structure(item, gradients) for item in value]
    if isinstance(value, dict):
        return {key: _in_structure(item, gradients) for key, item in value.items()}
    return None
