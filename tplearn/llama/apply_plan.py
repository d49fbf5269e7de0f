"""A plan, applied where it fits the model, and refused in a sentence where PyTorch would only warn or stop later."""

import difflib
import math
import re
from fnmatch import fnmatchcase

from torch import nn
from torch.distributed.tensor import DeviceMesh, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from tplearn.sizes import divisors, require_divisible

Cut = ColwiseParallel | RowwiseParallel


def apply_plan(model: nn.Module, mesh: DeviceMesh, plan: dict[str, ParallelStyle]) -> None:
    """Cut `model` over a mesh of one dimension, as `parallelize_module` does, and keep tied parameters tied.

    Every rank must hold the same numbers: each keeps its shard of its own copy, and nothing is sent.

    Raises ValueError for a key that no module has, a module that a style cannot cut, heads or columns that do not
    divide by the ranks, and tied parameters that the plan cuts in two ways. Under sequence parallelism the model's
    forward raises it for a length that does not divide.
    """
    if mesh.ndim != 1:
        works = " or ".join(f"mesh[{name!r}]" for name in mesh.mesh_dim_names or ()) or "a mesh of one dimension"
        raise ValueError(f"a plan cuts along one dimension of a mesh, and this one has {mesh.ndim}; {works} works")
    matched = {key: modules_of(model, key) for key in plan}
    _require_matches(model, matched)
    cut = {name: style for key, style in plan.items() if isinstance(style, Cut) for name in matched[key]}
    _require_even(model, cut, mesh.size())
    ties = _ties(model)
    _guard_length(model, cut, mesh.size())
    parallelize_module(model, mesh, plan, src_data_rank=None)
    for first, *others in ties:
        _tie(model, first, others)


def modules_of(model: nn.Module, key: str) -> list[str]:
    """The modules that `parallelize_module` finds under a key: compared name by name, `*` stands within one name."""
    tokens = key.split(".")
    names = [(name, name.split(".")) for name, _ in model.named_modules()]
    return [name for name, parts in names if len(parts) == len(tokens) and all(map(fnmatchcase, parts, tokens))]


def _require_matches(model: nn.Module, matched: dict[str, list[str]]) -> None:
    """PyTorch warns of such a key and goes on: the numbers stay right, and the module stays whole."""
    there = sorted({re.sub(r"\.\d+(?=\.|$)", ".*", name) for name, _ in model.named_modules() if name})
    complaints = []
    for key, names in matched.items():
        if not names:
            near = difflib.get_close_matches(key, there, n=3) or there[:8]
            complaints.append(f"plan key {key!r} matches no module; keys that work: {', '.join(near)}")
    if complaints:
        raise ValueError("\n".join(complaints))


def _require_even(model: nn.Module, cut: dict[str, Cut], ranks: int) -> None:
    """Heads and columns between a column cut and a row cut must come out even. Words need not: DTensor knows them."""
    counts = {}
    for name, style in cut.items():
        module, column = model.get_submodule(name), isinstance(style, ColwiseParallel)
        if not isinstance(module, (nn.Linear, nn.Embedding)):
            kind = type(module).__name__
            raise ValueError(f"{name} is a {kind}, which {type(style).__name__} cannot cut; nn.Linear works")
        placements = style.output_layouts if column else style.input_layouts
        plain = style.use_local_output or not column  # to DTensor a plain shard is one of p equal ones
        if isinstance(module, nn.Linear) and plain and placements in ((Shard(-1),), (Shard(2),)):
            size = module.out_features if column else module.in_features
            head_dim = getattr(model.get_submodule(name.rpartition(".")[0]), "head_dim", None)
            counts[f"heads of {name}" if head_dim else f"columns of {name}"] = size // (head_dim or 1)
    works = divisors(math.gcd(*counts.values())) if counts else []
    for name, count in counts.items():
        if count % ranks:
            raise ValueError(
                f"{name} = {count} cannot be split over tp = {ranks} ranks; sizes that work for this plan: "
                f"{', '.join(map(str, works))}"
            )


def _guard_length(model: nn.Module, cut: dict[str, Cut], ranks: int) -> None:
    """Shards of unequal length would hang in the first collective, so the embedding refuses them."""
    for name, style in cut.items():
        module = model.get_submodule(name)
        if isinstance(module, nn.Embedding) and style.output_layouts == (Shard(1),):
            module.register_forward_pre_hook(
                lambda _, args: require_divisible("sequence length", args[0].shape[1], ranks) and None
            )


def _ties(model: nn.Module) -> list[list[str]]:
    """The names of each parameter that has several, as a tied embedding and head have."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return [same for same in names.values() if len(same) > 1]


def _tie(model: nn.Module, first: str, others: list[str]) -> None:
    """`parallelize_module` makes a new parameter for each name; make them one again. ValueError where cut unlike."""
    for name in others:
        kept, own = (_cut_of(model.get_parameter(each)) for each in (first, name))
        if kept != own:
            raise ValueError(
                f"{first} and {name} are one parameter, and this plan makes two of it, {kept} and {own}; styles that "
                "cut both along the same dim work"
            )
        layer, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(layer), attribute, model.get_parameter(first))


def _cut_of(parameter: nn.Parameter) -> str:
    """Its placements, such as S(0)."""
    return ", ".join(map(str, getattr(parameter, "placements", ["whole"])))
