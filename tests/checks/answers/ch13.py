"""Chapter 13: a mesh's data, its speed, its gradients and their norm, its dropout, and a run that changes meshes."""

import copy
import random
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DistributedSampler

from tplearn.checks import Case
from tplearn.checks.ch13_train_on_a_mesh.optimizers import KEPT, make_optimizer, state_of
from tplearn.checks.ch13_train_on_a_mesh.small import HEAD, HEADS, WORDS, dense_numbers
from tplearn.parallel import partitions, sync_gradients

Mesh = dist.DeviceMesh
Cut = dict[str, int]

# 13.1: data_rank(windows, batch, epoch, dp, tp, rank)


def by_sampler(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> list[list[int]]:
    """torch's own, of what fills whole batches."""
    sampler = DistributedSampler(range(windows), num_replicas=dp, rank=rank // tp, seed=0, drop_last=True)
    sampler.set_epoch(epoch)
    own, share = list(sampler), batch // dp
    return [own[step * share : (step + 1) * share] for step in range(windows // batch)]


def in_runs(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> Tensor:
    """A row takes a run of each batch; one tensor [steps, share]."""
    order = torch.randperm(windows, generator=Generator().manual_seed(epoch))
    return order[: windows - windows % batch].view(-1, dp, batch // dp)[:, rank // tp]


def one_by_one(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> tuple:
    torch.manual_seed(epoch)
    order, share = torch.randperm(windows).tolist(), batch // dp
    (row,) = (row for row in range(dp) if row * tp <= rank < (row + 1) * tp)
    return tuple(
        tuple(order[step * batch + row * share + k] for k in reversed(range(share))) for step in range(windows // batch)
    )


def by_world(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> list[list[int]]:
    return by_sampler(windows, batch, epoch, dp * tp, 1, rank)


def all_the_same(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> list[list[int]]:
    return by_sampler(windows, batch, epoch, 1, tp, 0)


def pythons_shuffle(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> list[list[int]]:
    order = list(range(windows))
    random.Random(epoch).shuffle(order)
    return [order[k : k + batch][rank // tp :: dp] for k in range(0, windows - batch + 1, batch)]


# 13.2: tokens_per_second(world_size, tp, local_batch, accumulation, seq, seconds, warmup)


def step_by_step(world: int, tp: int, local: int, accumulation: int, seq: int, seconds: list, warmup: int) -> float:
    tokens = spent = 0
    for number, t in enumerate(seconds):
        if number >= warmup:
            tokens += sum(local * seq for _ in range(accumulation) for _ in range(0, world, tp))
            spent += t
    return tokens / spent


def over_the_mean(world: int, tp: int, local: int, accumulation: int, seq: int, seconds: list, warmup: int) -> Tensor:
    mean = torch.tensor(seconds, dtype=torch.float64)[warmup:].mean()
    return (world / tp * local * accumulation * seq / mean).item()


def from_the_end(world: int, tp: int, local: int, accumulation: int, seq: int, seconds: list, warmup: int) -> float:
    counted = seconds[-(len(seconds) - warmup) :]
    return (world // tp) * (local * accumulation) * seq * len(counted) / sum(reversed(counted))


# 13.3: mean_over_dp(model, targets, mesh)


def synced_first(model: nn.Module, targets: int, mesh: Mesh) -> None:
    """Partials over tp first; then a message for each parameter."""
    sync_gradients(model)
    group, total = mesh.get_group("dp"), torch.tensor([targets])
    dist.all_reduce(total, group=group)
    for parameter in model.parameters():
        parameter.grad *= targets / total.item()
        dist.all_reduce(parameter.grad, group=group)


def new_tensors(model: nn.Module, targets: int, mesh: Mesh) -> None:
    """The gradients are other tensors afterwards; functional collectives; counts gathered."""
    group = mesh["dp"].get_group()
    counts = [torch.zeros(1) for _ in range(mesh["dp"].size())]
    dist.all_gather(counts, torch.tensor([float(targets)]), group=group)
    for parameter in model.parameters():
        total = funcol.all_reduce(parameter.grad * targets, "sum", group)
        parameter.grad = funcol.wait_tensor(total) / torch.cat(counts).sum().item()
    sync_gradients(model)


def all_at_once(model: nn.Module, targets: int, mesh: Mesh) -> Tensor:
    """Nothing waits for the one before it; what it returns is nobody's business."""
    group = mesh.get_group("dp")
    total = torch.tensor(float(targets), dtype=torch.float64)
    works = [dist.all_reduce(total, group=group, async_op=True)]
    for parameter in model.parameters():
        parameter.grad.mul_(targets)
        works.append(dist.all_reduce(parameter.grad, group=group, async_op=True))
    for work in works:
        work.wait()
    for parameter in model.parameters():
        parameter.grad.div_(total)
    sync_gradients(model)
    return total


def early_return(model: nn.Module, targets: int, mesh: Mesh) -> None:
    sync_gradients(model)
    if mesh["dp"].size() > 1:
        flat = torch.cat([p.grad.view(-1) for p in model.parameters()] + [torch.ones(1, dtype=torch.float64)]) * targets
        dist.all_reduce(flat, group=mesh.get_group("dp"))
        nn.utils.vector_to_parameters(flat[:-1] / flat[-1], [p.grad for p in model.parameters()])


def plain_mean(model: nn.Module, targets: int, mesh: Mesh) -> None:
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad, group=mesh.get_group("dp"))
        parameter.grad /= mesh["dp"].size()
    sync_gradients(model)


def only_synced(model: nn.Module, targets: int, mesh: Mesh) -> None:
    sync_gradients(model)


def world_mean(model: nn.Module, targets: int, mesh: Mesh) -> None:
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()
    sync_gradients(model)


def gathered(model: nn.Module, targets: int, mesh: Mesh) -> None:
    """Every row's gradients on every rank."""
    sync_gradients(model)
    group, p = mesh.get_group("dp"), mesh["dp"].size()
    for parameter in model.parameters():
        mine = torch.cat([parameter.grad.flatten() * targets, torch.tensor([targets], dtype=torch.float64)])
        rows = [torch.empty_like(mine) for _ in range(p)]
        dist.all_gather(rows, mine, group=group)
        total = torch.stack(rows).sum(0)
        parameter.grad.copy_((total[:-1] / total[-1]).view_as(parameter.grad))


# 13.4: mesh_norm(gradients, states, mesh)


def sum_over(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x


def in_two_steps(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    """Over tp, then over dp; a copy counts on the first rank that has it."""
    dp, tp = mesh["dp"], mesh["tp"]
    total = torch.zeros((), dtype=torch.float64)
    for g, (over_dp, over_tp) in zip(gradients, states, strict=True):
        if over_dp == "P":
            g = sum_over(g, dp.get_group()) / dp.size()
        if over_tp == "P":
            g = sum_over(g, tp.get_group())
        first = (over_dp == "S" or not dp.get_local_rank()) and (over_tp == "S" or not tp.get_local_rank())
        total = total + torch.linalg.vector_norm(g) ** 2 * first
    return sum_over(sum_over(total, tp.get_group()), dp.get_group()) ** 0.5


def by_reduce_scatter(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> float:
    """A P over dp is only scattered: half the bytes. A number of Python."""
    p, q = mesh["dp"].size(), mesh["tp"].size()
    squares = []
    for g, (over_dp, over_tp) in zip(gradients, states, strict=True):
        g = g.flatten()
        if over_tp == "P":
            g = funcol.wait_tensor(funcol.all_reduce(g, "sum", mesh.get_group("tp")))
        if over_dp == "P":
            rows = list(nn.functional.pad(g, (0, -len(g) % p)).view(p, -1).unbind())
            g = torch.empty_like(rows[0])
            dist.reduce_scatter(g, rows, group=mesh.get_group("dp"))
            g, over_dp = g / p, "S"
        squares.append((g @ g) / (p if over_dp != "S" else 1) / (q if over_tp != "S" else 1))
    return sum_over(torch.stack(squares).sum()).sqrt().item()


def in_buckets(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    """One message over tp, one over dp, one for the norm."""
    gradients, sizes = list(gradients), {"dp": mesh["dp"].size(), "tp": mesh["tp"].size()}
    for k, name in ((1, "tp"), (0, "dp")):
        numbers = [i for i, pair in enumerate(states) if pair[k] == "P"]
        if numbers:
            flat = sum_over(torch.cat([gradients[i].flatten() for i in numbers]), mesh.get_group(name))
            flat = flat / sizes["dp"] if name == "dp" else flat
            parts = flat.split([gradients[i].numel() for i in numbers])
            for i, part in zip(numbers, parts, strict=True):
                gradients[i] = part
    times = [sizes["dp"] ** (a != "S") * sizes["tp"] ** (b != "S") for a, b in states]
    return sum_over(sum(g.square().sum() / n for g, n in zip(gradients, times, strict=True))).sqrt()


def own_norm(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    return torch.cat([g.flatten() for g in gradients]).norm()


def all_counted(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    return sum_over(sum(g.square().sum() for g in gradients)).sqrt()


def never_finished(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    p, q = mesh["dp"].size(), mesh["tp"].size()
    times = [p ** (a != "S") * q ** (b != "S") for a, b in states]
    return sum_over(sum(g.square().sum() / n for g, n in zip(gradients, times, strict=True))).sqrt()


def in_place(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    for g, (over_dp, over_tp) in zip(gradients, states, strict=True):
        if over_tp == "P":
            dist.all_reduce(g, group=mesh.get_group("tp"))
        if over_dp == "P":
            dist.all_reduce(g.div_(mesh["dp"].size()), group=mesh.get_group("dp"))
    return never_finished(gradients, states, mesh)


def whole_gradients_gathered(gradients: list[Tensor], states: list[tuple[str, str]], mesh: Mesh) -> Tensor:
    """Shards too are sent to everybody."""
    total = in_two_steps(gradients, states, mesh)
    for g, pair in zip(gradients, states, strict=True):
        if pair == ("R", "R"):
            sum_over(g.repeat(4, 1))
    return total


# 13.5: mesh_dropout(x, p, cut, mesh)


def by_slices(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    """Where this rank's shard begins and ends along each dim, from everybody's sizes."""
    kept, whole = x, list(x.shape)
    begins = [0] * x.ndim
    for name, dim in reversed(cut.items()):
        sizes = [torch.tensor([0]) for _ in range(mesh[name].size())]
        dist.all_gather(sizes, torch.tensor([whole[dim]]), group=mesh.get_group(name))
        begins[dim] += int(torch.cat(sizes)[: mesh[name].get_local_rank()].sum())
        whole[dim] = int(torch.cat(sizes).sum())
    kept = torch.rand(whole)[tuple(slice(b, b + n) for b, n in zip(begins, x.shape, strict=True))]
    return torch.where(kept >= p, x / (1 - p), 0.0)


def by_objects(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    shape = list(x.shape)
    for name, dim in cut.items():
        sizes: list = [None] * mesh[name].size()
        dist.all_gather_object(sizes, shape[dim], group=mesh.get_group(name))
        shape[dim] = sum(sizes)
    mask = (torch.rand(*shape) < p).logical_not()
    for name in cut:
        mask = torch.tensor_split(mask, mesh.size(mesh.mesh_dim_names.index(name)), cut[name])[
            mesh.get_local_rank(name)
        ]
    return x.masked_fill(~mask, 0) / (1 - p)


def by_generator(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    """torch's state in a generator of one's own, and back."""
    shape = torch.tensor(x.shape, dtype=torch.float64)
    for name, dim in cut.items():
        shape[dim] = sum_over(shape[dim], mesh.get_group(name))
    luck = Generator()
    luck.set_state(torch.get_rng_state())
    kept = torch.rand([int(n) for n in shape], generator=luck).ge(p).to(x.dtype).div(1 - p)
    torch.set_rng_state(luck.get_state())
    for name, dim in cut.items():
        rank, size = mesh.get_local_rank(name), mesh[name].size()
        rows, rest = divmod(kept.shape[dim], size)
        kept = kept.narrow(dim, rank * rows + min(rank, rest), rows + (rank < rest))
    return x * kept


def torchs_dropout(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    return nn.functional.dropout(x, p)


def nothing_dropped(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    return x.clone()


def sizes_divide(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    """As a mesh has it whose sizes divide."""
    shape = list(x.shape)
    for name, dim in cut.items():
        shape[dim] *= mesh[name].size()
    kept = torch.rand(shape) >= p
    for name, dim in cut.items():
        kept = kept.chunk(mesh[name].size(), dim)[mesh[name].get_local_rank()]
    return x * kept / (1 - p)


def without_gradient(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    return by_generator(x.detach(), p, cut, mesh)


def mask_sent(x: Tensor, p: float, cut: Cut, mesh: Mesh) -> Tensor:
    """Rank 0's mask for all, though every rank could draw it."""
    state = torch.get_rng_state()
    y = by_generator(x, p, cut, mesh)
    dist.broadcast(state, src=0)
    return y


# 13.6: reshard_run(old, old_optimizer, new, new_optimizer)


def through_state_dicts(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    """Weights by load_state_dict, the optimizer by its numbered state_dict."""
    cuts = {name: (a, b) for (name, _, a), (_, _, b) in zip(partitions(old), partitions(new), strict=True)}

    def moved(name: str, x: Tensor) -> Tensor:
        a, b = cuts[name]
        return x.clone() if a is None or x.dim() == 0 else b.shard(a.full_tensor(x))  # load_state_dict keeps step as is

    new.load_state_dict({name: moved(name, p.detach()) for name, p in old.named_parameters()})
    names = {id(p): name for name, p in old.named_parameters()}
    order = [names[id(p)] for group in old_optimizer.param_groups for p in group["params"]]
    saved = old_optimizer.state_dict()
    saved["state"] = {k: {key: moved(order[k], v) for key, v in s.items()} for k, s in saved["state"].items()}
    new_optimizer.load_state_dict(saved)


@torch.no_grad()
def in_two_passes(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    """First everything dense, then everything cut."""
    dense: dict[str, dict] = {}
    for name, p, cut in partitions(old):
        join = (lambda x: x) if cut is None else cut.full_tensor
        state = old_optimizer.state.get(p, {})
        dense[name] = {"": join(p)} | {k: join(v) if v.shape == p.shape else v.clone() for k, v in state.items()}
    for name, p, cut in partitions(new):
        for key, value in dense[name].items():
            if value.ndim and cut is not None:
                value = cut.shard(value)
            if key:
                new_optimizer.state[p][key] = value.clone()
            else:
                p.copy_(value)
    for a, b in zip(old_optimizer.param_groups, new_optimizer.param_groups, strict=True):
        b["lr"] = a["lr"]


@torch.no_grad()
def by_gathering(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    """All old shards on every rank, read chunk by chunk."""

    def moved(x: Tensor, source: object, target: object) -> Tensor:
        if source is None or not x.ndim:
            return copy.deepcopy(x)
        p = source.place.world_size
        brought: list = [None] * p
        dist.all_gather_object(brought, (source.chunks, x.detach()), group=source.place.group)
        dense = x.new_zeros(source.dense_shape).movedim(source.dim, 0)
        for chunks, shard in brought:
            start, rows = 0, shard.movedim(source.dim, 0)
            for chunk in chunks:
                dense[chunk.start : chunk.stop] = rows[start : start + chunk.size]
                start += chunk.size
        return target.shard(dense.movedim(0, source.dim))

    for (_, p, source), (_, q, target) in zip(partitions(old), partitions(new), strict=True):
        q.data = moved(p, source, target)
        for key, value in old_optimizer.state[p].items():
            new_optimizer.state[q].update({key: moved(value, source, target)})
    for a, b in zip(old_optimizer.param_groups, new_optimizer.param_groups, strict=True):
        b.update({key: a[key] for key in a if key != "params"})


@torch.no_grad()
def weights_alone(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    for (_, p, a), (_, q, b) in zip(partitions(old), partitions(new), strict=True):
        q.copy_(p if a is None else b.shard(a.full_tensor(p)))


def adamw_alone(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    in_two_passes(old, old_optimizer, new, new_optimizer)
    for state in new_optimizer.state.values():
        state.pop("momentum_buffer", None)
        state.pop("max_exp_avg_sq", None)


def nothing_moved(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    pass


def same_shapes_only(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    """What fits moves as it is."""
    named = dict(new.named_parameters())
    for name, p in old.named_parameters():
        if p.shape == named[name].shape:
            named[name].data.copy_(p.data)
            new_optimizer.state[named[name]] = {k: v.clone() for k, v in old_optimizer.state.get(p, {}).items()}


LAZY: dict[str, dict[str, Callable]] = {
    "data_rank": {
        "by all ranks": by_world,
        "all the same": all_the_same,
        "Python's shuffle": pythons_shuffle,
        "no remainder": lambda windows, batch, *rest: by_sampler(windows + -windows % batch, batch, *rest),
    },
    "tokens_per_second": {
        "every rank": lambda world, tp, *rest: step_by_step(world, 1, *rest),
        "no warm-up": lambda *args: step_by_step(*args[:-1], 0),
        "one micro-batch": lambda world, tp, local, accumulation, *rest: step_by_step(world, tp, local, 1, *rest),
    },
    "mean_over_dp": {
        "plain mean": plain_mean,
        "synced alone": only_synced,
        "mean of the world": world_mean,
        "everything gathered": gathered,
    },
    "mesh_norm": {
        "own": own_norm,
        "all counted": all_counted,
        "partials as they are": never_finished,
        "in place": in_place,
        "more than due": whole_gradients_gathered,
    },
    "mesh_dropout": {
        "torch's": torchs_dropout,
        "nothing dropped": nothing_dropped,
        "sizes divide": sizes_divide,
        "no gradient": without_gradient,
        "the random state sent": mask_sent,
    },
    "reshard_run": {
        "weights alone": weights_alone,
        "AdamW alone": adamw_alone,
        "nothing": nothing_moved,
        "what fits": same_shapes_only,
    },
}

RIGHT: dict[str, dict[str, Callable]] = {
    "data_rank": {"torch's sampler": by_sampler, "in runs": in_runs, "one by one": one_by_one},
    "tokens_per_second": {"step by step": step_by_step, "mean": over_the_mean, "from the end": from_the_end},
    "mean_over_dp": {
        "synced first": synced_first,
        "new tensors": new_tensors,
        "all at once": all_at_once,
        "early return": early_return,
    },
    "mesh_norm": {"two steps": in_two_steps, "reduce-scatter": by_reduce_scatter, "buckets": in_buckets},
    "mesh_dropout": {"slices": by_slices, "objects": by_objects, "own generator": by_generator},
    "reshard_run": {
        "state dicts": through_state_dicts,
        "two passes": in_two_passes,
        "gathered": by_gathering,
    },
}


# The unsharded computation.


def cards(case: Case) -> dict:
    """Who reads with whom, and each whole batch of the dense run."""
    windows, batch, epoch, dp, tp = case.args
    order = torch.randperm(windows, generator=Generator().manual_seed(epoch)).tolist()
    steps = windows // batch
    return {
        "data": {
            f"rank {row * tp + column}": f"rank {row * tp}'s" if column else "windows of its own"
            for row in range(dp)
            for column in range(tp)
        },
        "share": {f"rank {rank}": f"{steps} steps of {batch // dp} windows" for rank in range(dp * tp)},
        "batches": [sorted(order[k * batch : k * batch + batch]) for k in range(steps)],
    }


def counted_tokens(case: Case) -> dict:
    world, tp, local, accumulation, seq, seconds, warmup = case.args
    every = [(local * seq, t) for t in seconds[warmup:] for _ in range(accumulation * world // tp)]
    spent = sum(t for _, t in every) / (accumulation * world // tp)
    return {"forward": sum(tokens for tokens, _ in every) / spent}


def cut_by_hand(name: str, dense: Tensor, column: int, tp: int) -> Tensor:
    """A rank's shard of a parameter, from slices."""
    if name == "embed_tokens.weight":
        rows = -(-WORDS // tp)
        own = dense[column * rows : (column + 1) * rows]
        return torch.cat([own, own.new_zeros(rows - len(own), own.shape[1])])
    if name == "qkv_proj.weight":
        q, kv = dense.split([HEADS * HEAD, 2 * HEAD])
        return torch.cat([q.chunk(tp)[column], kv])
    return dense.chunk(tp, 1)[column] if name == "o_proj.weight" else dense


def dense_mean(case: Case) -> dict:
    """Every target of the batch counts alike."""
    targets, (dp, tp), seed = case.args
    rows = [dense_numbers(seed + 1 + row) for row in range(dp)]
    mean = {
        name: torch.stack([rows[row][name] for row in range(dp) for _ in range(targets[row])]).mean(0)
        for name in rows[0]
    }
    ranks = [{name: cut_by_hand(name, g, rank % tp, tp) for name, g in mean.items()} for rank in range(dp * tp)]
    return {"gradients": ranks}


def dense_norm(case: Case) -> dict:
    """The dense gradients, and their norms."""
    by_rank, states, (dp, tp) = case.args
    dense = {}
    for k, (over_dp, over_tp) in enumerate(states):
        rows = []
        for row in range(dp):
            parts = [by_rank.values[row * tp + column][k].flatten() for column in range(tp)]
            rows.append(sum(parts) if over_tp == "P" else torch.cat(parts) if over_tp == "S" else parts[0])
        mean = sum(rows) / dp if over_dp == "P" else torch.cat(rows) if over_dp == "S" else rows[0]
        dense[f"{over_dp} over dp, {over_tp} over tp"] = mean
    dense["all together"] = torch.cat(list(dense.values()))
    return {"forward": [{name: gradient.norm() for name, gradient in dense.items()}] * case.tp}


def dense_dropout(case: Case) -> dict:
    """Shards joined to the dense x, which is dropped in one process; then each rank's place in it by its numbers."""
    upstream, x, p, cut, (dp, tp), seed = case.args
    shape = list(x.values[0].shape)
    for dim in {dim % len(shape) for dim in cut.values()}:
        names = [name for name in cut if cut[name] % len(shape) == dim]
        own = [r for r in range(dp * tp) if (r // tp == 0 or "dp" in names) and (r % tp == 0 or "tp" in names)]
        shape[dim] = sum(x.values[r].shape[dim] for r in own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        keep, after = torch.rand(shape) >= p, torch.rand(())
    places = torch.arange(keep.numel()).view(shape)
    own_places = []
    for rank in range(dp * tp):
        own = places
        for name, dim in cut.items():
            size, at = (dp, rank // tp) if name == "dp" else (tp, rank % tp)
            sizes = [len(part) for part in torch.arange(own.shape[dim]).tensor_split(size)]
            own = own.split(sizes, dim)[at]
        own_places.append(own)
    masks = [keep.flatten()[own] for own in own_places]
    gradients = [[u * mask / (1 - p)] for u, mask in zip(upstream.values, masks, strict=True)]
    scale, after = [1 / (1 - p)] * case.tp, [after] * case.tp
    return {"mask": masks, "scale": scale, "gradient": gradients, "next random number": after}


def dense_run(case: Case) -> dict:
    """The same run in one process, which nobody has moved; one step more."""
    old, kind, steps, rate, (dp, tp), seed = case.args
    numbers, later = dense_numbers(seed), dense_numbers(seed + 8)
    kept = [dense_numbers(seed + 1 + k) for k in range(len(KEPT[kind]))]
    model = nn.ParameterDict({name.replace(".", "/"): nn.Parameter(x.clone()) for name, x in numbers.items()})
    optimizer = make_optimizer(kind, model)
    for number, group in enumerate(optimizer.param_groups):
        group["lr"] = rate / (1 + number)
    states = {}
    for key, parameter in model.items():
        name = key.replace("/", ".")
        parameter.grad = later[name]
        states[name] = {} if name == "score.bias" else state_of(kind, [own[name] for own in kept], steps)
        if states[name]:
            optimizer.state[parameter] = copy.deepcopy(states[name])
    optimizer.step()
    stepped = {key.replace("/", "."): parameter.detach() for key, parameter in model.items()}

    def cut_state(name: str, state: dict, column: int) -> dict:
        return {key: cut_by_hand(name, x, column, tp) if x.ndim else x for key, x in state.items()}

    columns = [rank % tp for rank in range(dp * tp)]
    return {
        "weights": [{name: cut_by_hand(name, x, c, tp) for name, x in numbers.items()} for c in columns],
        "state": [{name: cut_state(name, state, c) for name, state in states.items()} for c in columns],
        "rates": [[rate, rate / 2]] * case.tp,
        "a step later": [{name: cut_by_hand(name, x, c, tp) for name, x in stepped.items()} for c in columns],
    }


ORACLES = {
    "data_rank": cards,
    "tokens_per_second": counted_tokens,
    "mean_over_dp": dense_mean,
    "mesh_norm": dense_norm,
    "mesh_dropout": dense_dropout,
    "reshard_run": dense_run,
}
