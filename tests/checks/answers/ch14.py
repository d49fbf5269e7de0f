"""Chapter 14: plans for PyTorch, and weights that are marked."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Generator, Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    PrepareModuleInputOutput,
    PrepareModuleOutput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)
from torch.nn import functional as F

from tplearn.checks import Case
from tplearn.checks.ch14_dtensor.checked import PLANS
from tplearn.checks.ch14_dtensor.drive import BATCH, SEQ
from tplearn.checks.ch14_dtensor.drive_parts import EQUAL, TIED
from tplearn.checks.ch14_dtensor.mark import REFUSED
from tplearn.checks.ch14_dtensor.twin import HIDDEN, Model, ParallelStack, drawn
from tplearn.checks.inputs import randn

Plan = dict[str, ParallelStyle]
R, OWN = Replicate(), Shard(1)

# 14.1: checked_plan(model, mesh, plan)


def modules_of(model: nn.Module, key: str) -> list[str]:
    """By whole names, cut at the dots."""
    tokens = key.split(".")
    names = [name.split(".") for name, _ in model.named_modules()]
    return [".".join(n) for n in names if len(n) == len(tokens) and all(map(fnmatchcase, n, tokens))]


def names_by_list(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    """All names that there are, in the message."""
    lost = [key for key in plan if not modules_of(model, key)]
    if lost:
        raise ValueError(f"{lost} match no module; the modules are {[name for name, _ in model.named_modules()]}")
    return parallelize_module(model, mesh, plan, src_data_rank=None)


def below(module: nn.Module, tokens: list[str]) -> list[nn.Module]:
    if not tokens:
        return [module]
    pattern = re.compile(tokens[0].replace("*", ".*") + "$")
    return [m for name, child in module.named_children() if pattern.match(name) for m in below(child, tokens[1:])]


def by_recursion(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    """Applies each style itself."""
    lost = [key for key in plan if not below(model, key.split("."))]
    if lost:
        there = {child for module in model.modules() for child, _ in module.named_children()}
        raise ValueError(f"no module for {' and '.join(lost)}. There are: {', '.join(sorted(there))}")
    for key, style in plan.items():
        for module in below(model, key.split(".")):
            parallelize_module(module, mesh, style, src_data_rank=None)
    return model


class PlanError(ValueError):
    pass


def own_error(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    """An error of its own type, and the longest beginning of a key that matches."""
    for_all = []
    for key in plan:
        tokens = key.split(".")
        depth = next((n for n in range(1, len(tokens) + 1) if not below(model, tokens[:n])), None)
        if depth is not None:
            there = [name for module in below(model, tokens[: depth - 1]) for name, _ in module.named_children()]
            for_all.append(f'"{key}" ends at {depth}: {there}')
    if for_all:
        raise PlanError("\n".join(for_all))
    parallelize_module(model, mesh, plan)
    return model


def what_matches(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    return parallelize_module(model, mesh, {key: plan[key] for key in plan if modules_of(model, key)})


def refuses_all(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    raise ValueError(f"{list(plan)}: {[name for name, _ in model.named_modules()]}")


def layer_0(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    names = [name for name, _ in model.named_modules()]
    lost = [key for key in plan if key.replace("*", "0") not in names]
    if lost:
        raise ValueError(f"{lost}: {names}")
    return parallelize_module(model, mesh, plan)


def cut_by_then(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    for key, style in plan.items():
        if not modules_of(model, key):
            raise ValueError(f"{key}: {[name for name, _ in model.named_modules()]}")
        parallelize_module(model, mesh, {key: style})
    return model


# 14.2: tp_plan(model)


def layer_by_layer(model: nn.Module) -> Plan:
    plan: Plan = {"tok_embeddings": ColwiseParallel(output_layouts=R), "output": ColwiseParallel(output_layouts=R)}
    for name, module in model.named_modules():
        end = name.rpartition(".")[2]
        if end in ("wq", "wk", "wv", "w1", "w3"):
            plan[name] = ColwiseParallel()
        elif end in ("wo", "w2"):
            plan[name] = RowwiseParallel()
        elif end in ("q_norm", "k_norm"):
            plan[name] = SequenceParallel(sequence_dim=2, use_local_output=True)
        assert module is not None
    return plan


def by_patterns(model: nn.Module) -> Plan:
    return {
        "layers.*.*.w[qkv13]": ColwiseParallel(),
        "layers.*.*.w[o2]": RowwiseParallel(),
        "layers.*.*.?_norm": SequenceParallel(sequence_dim=2, use_local_output=True),
        "tok_embeddings": ColwiseParallel(output_layouts=R),
        "output": ColwiseParallel(output_layouts=R),
    }


def quiet_already(model: nn.Module) -> Plan:
    three = (R, None, None)
    return by_patterns(model) | {
        "layers.*.attention": PrepareModuleInput(input_layouts=three, desired_input_layouts=three),
        "layers.*.feed_forward": PrepareModuleInput(input_layouts=(R,), desired_input_layouts=(R,)),
    }


class OwnHeads(ParallelStyle):
    """The norm's weight through f, by a hook on its gradient."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        group = device_mesh.get_group()
        module.weight.register_hook(lambda g: funcol.wait_tensor(funcol.all_reduce(g, "sum", group)))
        return module


def with_own_style(model: nn.Module) -> Plan:
    """Two small all-reduces a layer, for five that a quiet plan saves: cheaper than what is due."""
    return quiet_already(model) | {"layers.*.*.?_norm": OwnHeads()}


def changed_plan(**changes: ParallelStyle | None) -> Callable[[nn.Module], Plan]:
    """by_patterns with other styles, by the end of a key; None leaves it out."""

    def answer(model: nn.Module) -> Plan:
        plan = layer_by_layer(model)
        for end, style in changes.items():
            for key in [key for key in plan if key.endswith(end)]:
                plan.pop(key)
                plan |= {} if style is None else {key: style}
        return plan

    return answer


# 14.3: quiet_plan(plan)


def any_norm(plan: Plan) -> Plan:
    style = PrepareModuleOutput(output_layouts=(R,), desired_output_layouts=(R,), use_local_output=False)
    return {**plan, "layers.?.norm": style}


class AsOne(ParallelStyle):
    """y as a DTensor, by a hook."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        module.register_forward_hook(lambda _, args, y: DTensor.from_local(y, device_mesh, [R], run_check=False))
        return module


def own_style(plan: Plan) -> Plan:
    plan["layers.*.norm"] = AsOne()
    return plan


def input_and_output(plan: Plan) -> Plan:
    """The norm's weight stays plain, and so does what it gets."""
    style = PrepareModuleInputOutput(
        input_layouts=(R,),
        desired_input_layouts=(R,),
        use_local_input=True,
        output_layouts=(R,),
        desired_output_layouts=(R,),
        use_local_output=False,
    )
    return plan | {"layers.*.norm": style}


def two_halves(plan: Plan) -> Plan:
    three = (R, None, None)
    return plan | {
        "layers.*.attention": PrepareModuleInput(input_layouts=three, desired_input_layouts=three),
        "layers.*.feed_forward": PrepareModuleInput(input_layouts=(R,), desired_input_layouts=(R,)),
    }


# 14.4: retie(model, mesh, plan)


def all_ties(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    """Whatever was one stays one; of two cuts the one along dim 0."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    parallelize_module(model, mesh, plan, src_data_rank=None)
    for same in names.values():
        kept = max(same, key=lambda name: getattr(model.get_parameter(name), "placements", (R,)) == (Shard(0),))
        for name in same:
            module, _, attribute = name.rpartition(".")
            model.get_submodule(module).register_parameter(attribute, model.get_parameter(kept))


def by_storage(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    one = model.output.weight.data_ptr() == model.tok_embeddings.weight.data_ptr()
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if one:
        model.tok_embeddings.weight = model.output.weight
    return model


def other_plan(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    """The embedding cut by words, whatever the plan says; then it does not matter which one stays."""
    tied = len(list(model.parameters())) < 3
    if tied:
        plan = plan | {"tok_embeddings": RowwiseParallel(input_layouts=R)}
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if tied:
        model.output.weight = model.tok_embeddings.weight


def untied(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    parallelize_module(model, mesh, plan, src_data_rank=None)


def tied_first(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    model.output.weight = model.tok_embeddings.weight
    parallelize_module(model, mesh, plan, src_data_rank=None)


def tied_anyway(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    parallelize_module(model, mesh, plan, src_data_rank=None)
    model.tok_embeddings.weight = model.output.weight


def embedding_stays(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    tied = model.output.weight is model.tok_embeddings.weight
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if tied:
        model.output.weight = model.tok_embeddings.weight


def numbers_copied(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if model.output.weight.placements == model.tok_embeddings.weight.placements:
        model.output.weight.data.copy_(model.tok_embeddings.weight.data)


# 14.5: sp_step(model, mesh, ids, targets)


def sp_layer(local: bool = False) -> Plan:
    norm, heads = SequenceParallel(use_local_output=local), SequenceParallel(sequence_dim=2, use_local_output=True)
    three = {"input_layouts": (OWN, None, None), "desired_input_layouts": (R, None, None)}
    return {
        "*_norm": norm,
        "attention": PrepareModuleInput(**three),
        "feed_forward": PrepareModuleInput(input_layouts=(OWN,), desired_input_layouts=(R,)),
        "attention.w[qkv]": ColwiseParallel(),
        "attention.[qk]_norm": heads,
        "*.w[13]": ColwiseParallel(),
        "*.w[o2]": RowwiseParallel(output_layouts=OWN),
    }


def sp_ends(local: bool = False) -> Plan:
    return {
        "tok_embeddings": RowwiseParallel(input_layouts=R, output_layouts=OWN),
        "norm": SequenceParallel(use_local_output=local),
        "output": ColwiseParallel(input_layouts=OWN, output_layouts=Shard(2), use_local_output=False),
    }


def sp(
    ends: Callable[[], Plan] = sp_ends, layer: Callable[[], Plan] = sp_layer, loss_of: Callable | None = None
) -> Callable:
    def answer(model: nn.Module, mesh: DeviceMesh, ids: Tensor, targets: Tensor) -> Tensor:
        for block in model.layers:
            parallelize_module(block, mesh, layer(), src_data_rank=None)
        parallelize_module(model, mesh, ends(), src_data_rank=None)
        return (loss_of or parallel_loss)(model, ids, targets)

    return answer


def parallel_loss(model: nn.Module, ids: Tensor, targets: Tensor) -> Tensor:
    with loss_parallel():
        loss = F.cross_entropy(model(ids, torch.arange(ids.shape[1])).flatten(0, 1), targets.flatten())
        loss.backward()
    return loss


def by_hand(model: nn.Module, ids: Tensor, targets: Tensor) -> Tensor:
    """log_softmax and nll_loss, the loss as a plain tensor."""
    with loss_parallel():
        logits = model(ids, torch.arange(ids.shape[1], dtype=torch.float64))
        loss = F.nll_loss(torch.log_softmax(logits.reshape(-1, logits.shape[-1]), -1), targets.view(-1))
        torch.autograd.backward(loss)
    return loss.to_local().detach()


def without_a_plan(model: nn.Module, mesh: DeviceMesh, ids: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss.backward()
    return loss


def no_own_tokens(model: nn.Module, mesh: DeviceMesh, ids: Tensor, targets: Tensor) -> Tensor:
    """Tensor parallelism alone, and quiet."""
    head = ColwiseParallel(use_local_output=False)
    parallelize_module(model, mesh, quiet_already(model) | {"output": head}, src_data_rank=None)
    return parallel_loss(model, ids, targets)


def whole_logits(model: nn.Module, ids: Tensor, targets: Tensor) -> Tensor:
    logits = model(ids, torch.arange(ids.shape[1])).full_tensor()
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return loss


def without(*names: str) -> Callable[[], Plan]:
    return lambda: {name: style for name, style in sp_layer().items() if name not in names}


# 14.6: finish_gradients(model, mesh)


def own_part(gradient: Tensor) -> Tensor:
    return gradient.to_local() if isinstance(gradient, DTensor) else gradient


def is_partial(p: nn.Parameter) -> bool:
    return isinstance(p.grad, DTensor) and p.grad.placements[0].is_partial()


def total(parts: list[Tensor], group: dist.ProcessGroup | None, total_of: Callable | None = None) -> None:
    """In place, in one message."""
    flat = torch.cat([part.reshape(-1) for part in parts])
    flat = total_of(flat) if total_of else (dist.all_reduce(flat, group=group), flat)[1]
    for part, own in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
        part.copy_(own.reshape(part.shape))


def renamed(p: nn.Parameter) -> None:
    p.grad = DTensor.from_local(p.grad.to_local(), p.device_mesh, p.placements, run_check=False)


def partials_once(model: nn.Module, mesh: DeviceMesh) -> None:
    """The partials over all ranks at once, the rest over dp: as many messages, fewer bytes."""
    learning = [p for p in model.parameters() if p.grad is not None]
    partial, others = [p for p in learning if is_partial(p)], [p for p in learning if not is_partial(p)]
    total([own_part(p.grad) for p in partial], None)
    for p in partial:
        renamed(p)
    for p in others:
        if isinstance(p.grad, DTensor):
            p.grad = p.grad.redistribute(placements=p.placements)
    total([own_part(p.grad) for p in others], mesh.get_group("dp"))
    for p in learning:
        own_part(p.grad).div_(mesh["dp"].size())


def dp_first(model: nn.Module, mesh: DeviceMesh) -> None:
    """The mean of partials is a partial of the mean."""
    learning = [p for p in model.parameters() if p.grad is not None]
    for p in learning:
        if isinstance(p.grad, DTensor) and not is_partial(p):
            p.grad = p.grad.redistribute(placements=p.placements)
    parts = [own_part(p.grad) for p in learning]
    group = mesh.get_group("dp")
    total(parts, group, lambda x: funcol.wait_tensor(funcol.all_reduce(x / dist.get_world_size(group), "sum", group)))
    partial = [p for p in learning if is_partial(p)]
    total([p.grad.to_local() for p in partial], mesh.get_group("tp"))
    for p in partial:
        renamed(p)


def by_dtensors(model: nn.Module, mesh: DeviceMesh) -> None:
    """One long DTensor, redistributed."""
    partial = [p for p in model.parameters() if is_partial(p)]
    flat = DTensor.from_local(torch.cat([p.grad.to_local() for p in partial]), mesh["tp"], [Partial()], run_check=False)
    sums = flat.redistribute(placements=[R]).to_local().split([len(p) for p in partial])
    for p, own in zip(partial, sums, strict=True):
        p.grad = DTensor.from_local(own.clone(), mesh["tp"], [R], run_check=False)
    for p in model.parameters():
        if isinstance(p.grad, DTensor):
            p.grad = p.grad.redistribute(p.device_mesh, p.placements)
    parts = [own_part(p.grad) for p in model.parameters() if p.grad is not None]
    mean = DTensor.from_local(torch.cat([x.flatten() for x in parts]), mesh["dp"], [Partial("avg")], run_check=False)
    mean = mean.redistribute(placements=[R]).to_local()
    for part, own in zip(parts, mean.split([x.numel() for x in parts]), strict=True):
        part.copy_(own.view_as(part))


def nothing_done(model: nn.Module, mesh: DeviceMesh) -> None:
    pass


def each_by_itself(model: nn.Module, mesh: DeviceMesh) -> None:
    for p in model.parameters():
        if p.grad is None:
            continue
        if isinstance(p.grad, DTensor):
            p.grad = p.grad.redistribute(placements=p.placements)
        total([own_part(p.grad)], mesh.get_group("dp"))
        own_part(p.grad).div_(mesh["dp"].size())


def everything_over_the_world(model: nn.Module, mesh: DeviceMesh) -> None:
    total([own_part(p.grad) for p in model.parameters() if p.grad is not None], None)


def tp_alone(model: nn.Module, mesh: DeviceMesh) -> None:
    partial = [p for p in model.parameters() if is_partial(p)]
    total([p.grad.to_local() for p in partial], mesh.get_group("tp"))
    for p in model.parameters():
        if isinstance(p.grad, DTensor):
            renamed(p) if p in set(partial) else setattr(p, "grad", p.grad.redistribute(placements=p.placements))


# 14.7: mark_sharding(weight, mesh, spec)


def names_of(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def refuse(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> None:
    order = {name: k for k, name in enumerate(mesh.mesh_dim_names)}
    flat = [name for entry in spec for name in names_of(entry)]
    if len(spec) != weight.dim() or set(flat) - set(order) or len(set(flat)) < len(flat):
        raise ValueError(str(spec))
    for entry in map(names_of, spec):
        if sorted(entry, key=order.__getitem__) != list(entry):
            raise ValueError(str(entry))


def chunks_by_hand(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    refuse(weight, mesh, spec)
    placements, own = [], weight
    for name in mesh.mesh_dim_names:
        dim = next((d for d, entry in enumerate(spec) if name in names_of(entry)), None)
        placements.append(R if dim is None else Shard(dim))
        if dim is not None:
            own = own.chunk(mesh[name].size(), dim)[mesh.get_local_rank(name)]
    shape, stride = weight.shape, weight.stride()
    return DTensor.from_local(own.contiguous(), mesh, placements, run_check=False, shape=shape, stride=stride)


def cut_from_copies(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    refuse(weight, mesh, spec)
    placements = [R] * mesh.ndim
    for dim, entry in enumerate(spec):
        for name in names_of(entry):
            placements[mesh.mesh_dim_names.index(name)] = Shard(dim)
    return DTensor.from_local(weight, mesh, [R] * mesh.ndim, run_check=False).redistribute(mesh, placements)


def as_a_parameter(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> nn.Parameter:
    refuse(weight, mesh, spec)
    where = {name: Shard(dim) for dim, entry in enumerate(spec) for name in names_of(entry)}
    placements = [where.get(name, R) for name in mesh.mesh_dim_names]
    return nn.Parameter(distribute_tensor(weight, mesh, placements, src_data_rank=None))


def row_of_ranks(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    """A mesh of one dimension in mind."""
    refuse(weight, mesh, spec)
    cut = [Shard(dim) for dim, entry in enumerate(spec) if entry]
    return distribute_tensor(weight, mesh, (cut + [R] * mesh.ndim)[: mesh.ndim], src_data_rank=None)


def whole_everywhere(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    refuse(weight, mesh, spec)
    return distribute_tensor(weight, mesh, [R] * mesh.ndim, src_data_rank=None)


def never_refuses(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    where = {name: Shard(dim) for dim, entry in enumerate(spec) for name in names_of(entry) if dim < weight.ndim}
    placements = [where.get(name, R) for name in mesh.mesh_dim_names]
    return distribute_tensor(weight, mesh, placements, src_data_rank=None)


def first_name(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    return as_a_parameter(weight, mesh, tuple(entry[0] if isinstance(entry, tuple) else entry for entry in spec))


def only_the_shard(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> Tensor:
    return chunks_by_hand(weight, mesh, spec).to_local()


def sent(weight: Tensor, mesh: DeviceMesh, spec: tuple) -> DTensor:
    refuse(weight, mesh, spec)
    where = {name: Shard(dim) for dim, entry in enumerate(spec) for name in names_of(entry)}
    return distribute_tensor(weight, mesh, [where.get(name, R) for name in mesh.mesh_dim_names])


HEADS = SequenceParallel(sequence_dim=2, use_local_output=True)

LAZY = {
    "checked_plan": {
        "nothing looked at": lambda model, mesh, plan: parallelize_module(model, mesh, plan),
        "what matches is applied": what_matches,
        "everything refused": refuses_all,
        "* is layer 0": layer_0,
        "key by key": cut_by_then,
    },
    "tp_plan": {
        "no plan": lambda model: {},
        "no norms of heads": changed_plan(q_norm=None, k_norm=None),
        "no attention": changed_plan(wq=None, wk=None, wv=None, wo=None, q_norm=None, k_norm=None),
        "first layer": lambda model: {key.replace("*", "0", 1): style for key, style in by_patterns(model).items()},
        "each result gathered": changed_plan(
            w1=ColwiseParallel(output_layouts=R),
            w2=ColwiseParallel(output_layouts=R),
            w3=ColwiseParallel(output_layouts=R),
        ),
        "by words": changed_plan(tok_embeddings=RowwiseParallel(input_layouts=R)),
        "own words": changed_plan(output=ColwiseParallel()),
    },
    "quiet_plan": {
        "as it was": lambda plan: plan,
        "nothing cut": lambda plan: {},
        "two halves": two_halves,
        "attention left out": lambda plan: {key: style for key, style in plan.items() if "attention" not in key},
        "first block": lambda plan: plan | {"layers.0.norm": AsOne()},
    },
    "retie": {
        "untied": untied,
        "tied first": tied_first,
        "tied anyway": tied_anyway,
        "the embedding's stays": embedding_stays,
        "numbers copied": numbers_copied,
        "nothing done": lambda model, mesh, plan: None,
    },
    "sp_step": {
        "no plan": without_a_plan,
        "no own tokens": no_own_tokens,
        "whole logits": sp(loss_of=whole_logits),
        "no norms of heads": sp(layer=lambda: {k: s for k, s in sp_layer().items() if k != "attention.[qk]_norm"}),
        "norms without a style": sp(layer=lambda: {k: s for k, s in sp_layer().items() if k != "*_norm"}),
        "nobody gathers": sp(
            layer=lambda: {k: s for k, s in sp_layer().items() if k not in ("attention", "feed_forward")}
        ),
    },
    "finish_gradients": {
        "nothing done": nothing_done,
        "each by itself": each_by_itself,
        "everything over all ranks": everything_over_the_world,
        "tp alone": tp_alone,
    },
    "mark_sharding": {
        "a row of ranks": row_of_ranks,
        "whole everywhere": whole_everywhere,
        "never refuses": never_refuses,
        "first name": first_name,
        "only the shard": only_the_shard,
        "sent": sent,
    },
}

RIGHT = {
    "checked_plan": {
        "names by list": names_by_list,
        "by recursion": by_recursion,
        "an error of its own": own_error,
    },
    "tp_plan": {
        "layer by layer": layer_by_layer,
        "by patterns": by_patterns,
        "quiet already": quiet_already,
        "own style": with_own_style,
    },
    "quiet_plan": {
        "by a pattern": any_norm,
        "own style": own_style,
        "input and output": input_and_output,
    },
    "retie": {
        "all ties": all_ties,
        "by storage": by_storage,
        "another plan": other_plan,
    },
    "sp_step": {
        "block by block": sp(),
        "plain tensors between": sp(lambda: sp_ends(True), lambda: sp_layer(True)),
        "log_softmax": sp(loss_of=by_hand),
        "embedding by hidden numbers": sp(lambda: sp_ends() | {"tok_embeddings": ColwiseParallel(output_layouts=OWN)}),
    },
    "finish_gradients": {
        "partials over all ranks": partials_once,
        "dp first": dp_first,
        "as DTensors": by_dtensors,
    },
    "mark_sharding": {
        "chunks by hand": chunks_by_hand,
        "cut from copies": cut_from_copies,
        "as a parameter": as_a_parameter,
    },
}


def gradients_of(model: nn.Module, result: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    result.backward(upstream)
    return {name: p.grad for name, p in model.named_parameters(remove_duplicate=False)}


def of_the_model(case: Case) -> dict:
    seed, (words, layers) = case.args
    model, generator = drawn(Model(words, layers), seed), Generator().manual_seed(seed + 1)
    ids = torch.randint(words, (BATCH, SEQ), generator=generator)
    logits = model(ids)
    gradient = gradients_of(model, logits, randn(generator, BATCH, SEQ, words))
    return {"forward": [logits.detach()] * case.tp, "gradient": [gradient] * case.tp}


def of_the_stack(case: Case) -> dict:
    seed, (layers, _) = case.args
    model, generator = drawn(ParallelStack(layers), seed), Generator().manual_seed(seed + 1)
    x, upstream = (randn(generator, BATCH, SEQ, HIDDEN) for _ in range(2))
    x.requires_grad_()
    y = model(x)
    gradient = gradients_of(model, y, upstream)
    return {"forward": [y.detach()] * case.tp, "gradient": [{"x": x.grad} | gradient] * case.tp}


def of_the_step(case: Case) -> dict:
    seed, (words, layers) = case.args
    model, generator = drawn(Model(words, layers), seed), Generator().manual_seed(seed + 1)
    ids, targets = (torch.randint(words, (BATCH, SEQ), generator=generator) for _ in range(2))
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    gradient = gradients_of(model, loss, torch.ones_like(loss))
    norms = [name.removesuffix(".weight") for name in gradient if re.search(r"(attention_|ffn_|^)norm\.weight$", name)]
    assert len(norms) == 2 * layers + 1
    return {
        "forward": [loss.detach()] * case.tp,
        "gradient": [gradient] * case.tp,
        "tokens in a norm": [dict.fromkeys(norms, SEQ // case.tp)] * case.tp,
    }


def of_the_ties(case: Case) -> dict:
    seed, (tie, _) = case.args
    model, generator = drawn(Model(48, 0), seed), Generator().manual_seed(seed + 1)
    tied = tie == TIED
    if tied:
        model.output.weight = model.tok_embeddings.weight
    elif tie == EQUAL:
        model.output.weight = nn.Parameter(model.tok_embeddings.weight.detach().clone())
    logits = model(torch.randint(48, (2, 4), generator=generator))
    gradient = gradients_of(model, logits, randn(generator, 2, 4, 48))
    table, head = "tok_embeddings.weight", "output.weight"
    one = [[table, head], ["norm.weight"]] if tied else [[table], ["norm.weight"], [head]]
    return {
        "forward": [logits.detach()] * case.tp,
        "gradient": [gradient] * case.tp,
        "one parameter": [one] * case.tp,
    }


def refused_or_applied(case: Case) -> dict:
    there = PLANS[case.label][1]
    if not there:
        return {"returns": ["the model"] * case.tp}
    right = {"raised": "ValueError", "keys that are named": list(there)}
    right |= {"names that are not given": [], "changed all the same": []}
    return {"refused": [right] * case.tp}


def finished(case: Case) -> dict:
    (dp, tp), values, bias = case.args[0], case.args[1].values, case.args[2].values
    rows = [range(row * tp, row * tp + tp) for row in range(dp)]
    dense = {}  # the mean over rows of what one process would have
    for name in ("norm", "q_norm"):
        dense[name] = sum(values[rank][name][1] for rank in range(dp * tp)) / dp
    for name, dim in (("columns", 0), ("rows", 1)):
        dense[name] = sum(torch.cat([values[rank][name][1] for rank in row], dim) for row in rows) / dp
    dense["words"] = sum(values[row[0]]["words"][1] for row in rows) / dp
    of_bias, gradients = sum(bias[row[0]] for row in rows) / dp, []
    for rank in range(dp * tp):
        own = {name: dense[name] for name in ("norm", "q_norm")}
        own |= {
            name: dense[name].chunk(tp, dim)[rank % tp] for name, dim in (("columns", 0), ("rows", 1), ("words", 0))
        }
        gradients.append(own | {"bias": of_bias, "frozen": None})
    placements = {"norm": "R", "q_norm": "R", "columns": "S(0)", "rows": "S(1)", "words": "S(0)"}
    placements |= {"bias": "no DTensor", "frozen": "no gradient"}
    return {"gradient": gradients, "placements": [placements] * case.tp}


def shard_of(case: Case) -> dict:
    """The block of the weight that rank r holds: its coordinates, by hand."""
    mesh, names, weight, spec = case.args
    if ((mesh, names), tuple(weight.shape), spec) in [row[1:4] for row in REFUSED]:
        return {"refused": ["ValueError"] * case.tp}
    shards = []
    for rank in range(case.tp):
        at = dict(zip(names, (rank,) if len(mesh) == 1 else divmod(rank, mesh[1]), strict=True))
        own = weight
        for dim, entry in enumerate(spec):
            index, parts = 0, 1
            for name in names_of(entry):
                size = mesh[names.index(name)]
                index, parts = index * size + at[name], parts * size
            block = -(-weight.shape[dim] // parts)
            own = own.narrow(dim, index * block, min(block, weight.shape[dim] - index * block))
        shards.append(own)
    return {"shard": shards}


ORACLES = {
    "checked_plan": refused_or_applied,
    "tp_plan": of_the_model,
    "quiet_plan": of_the_stack,
    "retie": of_the_ties,
    "sp_step": of_the_step,
    "finish_gradients": finished,
    "mark_sharding": shard_of,
}
