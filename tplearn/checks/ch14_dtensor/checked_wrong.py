"""Wrong answers to exercise 14.1: who trusts the warning, who looks too late, who matches otherwise."""

import copy
import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatch

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.parallel import ParallelStyle, parallelize_module

Plan = dict[str, ParallelStyle]
Found = tuple[bool, list[str]]  # whether a key matches, and what is there where its path breaks off


def by_name(model: nn.Module, key: str, every: bool = False, depth: int | None = None) -> Found:
    """As PyTorch matches. every: a name must go on in every module; depth: names that are looked at."""
    here: list[nn.Module] = [model]
    for token in key.split(".")[:depth]:
        children = [list(module.named_children()) for module in here]
        found = [[child for name, child in of_one if fnmatch(name, token)] for of_one in children]
        if not all(found) if every else not any(found):
            return False, [name for of_one in children for name, _ in of_one]
        here = [child for of_one in found for child in of_one]
    return True, []


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_modules() if name]


def over_dots(model: nn.Module, key: str) -> Found:
    """Whole names, where * stands for dots too."""
    return any(fnmatch(name, key) for name in _names(model)), _names(model)


def layer_0(model: nn.Module, key: str) -> Found:
    """* is layer 0."""
    return key.replace("*", "0") in _names(model), _names(model)


def no_pattern(model: nn.Module, key: str) -> Found:
    """* and other patterns are no names."""
    return key in _names(model), _names(model)


def leaves_only(model: nn.Module, key: str) -> Found:
    """Modules that have none in them."""
    tokens, there = key.split("."), by_name(model, key)[1]
    ends = [name.split(".") for name, module in model.named_modules() if not list(module.children())]
    return any(len(end) == len(tokens) and all(map(fnmatch, end, tokens)) for end in ends), there


def last_name(model: nn.Module, key: str) -> Found:
    """The last name is somewhere in the model."""
    token = key.split(".")[-1]
    return any(fnmatch(name.split(".")[-1], token) for name in _names(model)), _names(model)


def parameters_too(model: nn.Module, key: str) -> Found:
    """Names of parameters are names."""
    ends = [name.rpartition(".") for name, _ in model.named_parameters()]
    head, _, tail = key.rpartition(".")
    found, there = by_name(model, key)
    return found or (bool(head) and by_name(model, head)[0] and any(tail == end for *_, end in ends)), there


def _complaints(model: nn.Module, plan: Plan, find: Callable[[nn.Module, str], Found]) -> Iterator[tuple[str, str]]:
    for key in plan:
        found, there = find(model, key)
        if not found:
            yield key, f"{key!r} matches nothing; there is {', '.join(there)}"


def checked(
    model: nn.Module,
    mesh: DeviceMesh,
    plan: Plan,
    find: Callable[[nn.Module, str], Found] = by_name,
    wrong: str = "",
) -> nn.Module | None:
    """The walk with another `find`, or with one thing `wrong`."""
    complaints = dict(_complaints(model, plan, find))
    if wrong == "applied first":
        parallelize_module(model, mesh, plan)
    if complaints and wrong == "another error":
        raise KeyError("; ".join(complaints.values()))
    if complaints and wrong == "the key alone":
        raise ValueError(f"{', '.join(complaints)} matches no module")
    if complaints and wrong == "what is there alone":
        raise ValueError(f"a key matches no module; there is {', '.join(_names(model))}")
    if complaints and wrong == "the first key only":
        raise ValueError(next(iter(complaints.values())))
    if complaints and wrong == "the whole plan":
        raise ValueError(f"{'; '.join(complaints.values())}; the plan was {plan}")
    if complaints:
        raise ValueError("; ".join(complaints.values()))
    if wrong == "nothing applied":
        return model
    if wrong == "applied first":
        return model
    applied = parallelize_module(model, mesh, plan)
    return None if wrong == "nothing returned" else applied


def trusting(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    """PyTorch's own."""
    return parallelize_module(model, mesh, plan)


def warnings_raised(model: nn.Module, mesh: DeviceMesh, plan: Plan, on_a_copy: bool = False) -> nn.Module:
    """PyTorch's warning made an error; or all of them, on a copy, made one."""
    if on_a_copy:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            parallelize_module(copy.deepcopy(model), mesh, plan)
        if caught:
            raise ValueError("; ".join(str(warning.message) for warning in caught))
        return parallelize_module(model, mesh, plan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return parallelize_module(model, mesh, plan)
        except UserWarning as warning:
            raise ValueError(str(warning)) from warning
