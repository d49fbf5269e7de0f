"""How chapter 10's functions are watched on a rank: in a group, with refusals, memory kept and products computed."""

import gc
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.autograd.graph import Node
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.live import Live, with_upstream
from tplearn.checks.observe import changed_inputs, plain, tensors_in


def two_positions(fn: Callable[..., Any], x_shard: Tensor, before: int) -> dict[str, Any]:
    """{"own tokens", "after the gather"}: the two results apart, so that each is judged by itself."""
    given = x_shard.clone()
    results = plain(fn(given, before))
    changed = changed_inputs((plain([x_shard]), {}), (plain([given]), {}))
    if not isinstance(results, list) or len(results) != 2:
        return {"own tokens": results, "after the gather": results} | changed
    return dict(zip(("own tokens", "after the gather"), results, strict=True)) | changed


def in_a_group(fn: Callable[..., Any], groups: Groups, upstream: Tensor, x: Tensor) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(x, group), where group is this rank's own of `groups` (None: no group is given).

    A sequence that does not divide by the ranks of the group must be refused: {"refusal": how it was}.
    """
    group = own_group(groups)
    p, tokens = dist.get_world_size(group), x.shape[1]
    if tokens % p == 0:
        return with_upstream(lambda x: fn(x, group), upstream, x)
    try:
        result = fn(x.clone(), group)
    except Exception as error:  # whatever an answer raises is what is seen of it
        numbers = re.findall(r"\d+", str(error))
        lacks = [what for what in (f"{tokens} tokens", f"{p} ranks") if what.split()[0] not in numbers]
        says = f"does not name the {' and '.join(lacks)}" if lacks else "names both sizes"
        return {"refusal": f"a {type(error).__name__} that {says}"}
    return {"refusal": "none: a result came back", "forward": plain(result)}


def with_costs(fn: Callable[..., Any], upstream: Tensor, *args: Tensor) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(x, weight), its costs, and whether the backward pass is the answer's own.

    "kept": bytes that are alive after the forward pass, beside arguments and result. "matmuls": products as large as
    x_all · weightᵀ, forward and backward; 3 are due. "own Function": whether the result comes out of one, or needs
    none, on one rank.
    """
    live = Live(args)
    flops = FlopCounterMode(display=False)
    with flops:
        with _made() as made:
            result = fn(*live.given)
        kept = _alive(made, result)
        own = dist.get_world_size() == 1 or any(map(_is_own, _graph(result)))
        seen = live.backward(result, upstream)
    one = 2 * upstream.numel() * args[1].shape[1]
    costs = {"kept": kept, "matmuls": max(3, round(flops.get_total_flops() / one)), "own Function": own}
    return seen | costs


def _graph(result: Any) -> Iterator[Node]:
    """The nodes of the result's autograd graph."""
    waiting = [tensor.grad_fn for tensor in tensors_in(result) if tensor.grad_fn]
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += [before for before, _ in node.next_functions if before]


def _is_own(node: Node) -> bool:
    """Whether a node's Function is neither torch's nor the shelf's."""
    function = getattr(type(node), "_forward_cls", None)
    return function is not None and not function.__module__.startswith(("torch.", "tplearn.parallel."))


class _Maker(TorchDispatchMode):
    """Notes the memory that operators make, without keeping it alive. A view of what was there before makes none."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        result = func(*args, **(kwargs or {}))
        given = {StorageWeakRef(tensor.untyped_storage()) for tensor in tensors_in([args, kwargs])}
        for tensor in tensors_in(result):
            storage = tensor.untyped_storage()
            if StorageWeakRef(storage) not in given:
                self.made[StorageWeakRef(storage)] = storage.nbytes()
        return result


@contextmanager
def _made() -> Iterator[dict[StorageWeakRef, int]]:
    with _Maker() as maker:
        yield maker.made


def _alive(made: dict[StorageWeakRef, int], result: Any) -> int:
    """Bytes of what was made and is still there, wherever it is kept; the result's own do not count."""
    own = {StorageWeakRef(tensor.untyped_storage()) for tensor in tensors_in(result)}
    alive = [ref for ref in made if ref not in own and not ref.expired()]
    if alive:
        gc.collect()  # what only a circle of references holds is no memory kept
    for _ in range(50):  # gloo's own thread lets go of a message a moment after it is over
        alive = [ref for ref in alive if not ref.expired()]
        if not alive:
            break
        time.sleep(0.002)
    return sum(made[ref] for ref in alive)
