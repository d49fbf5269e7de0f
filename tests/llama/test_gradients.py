"""Gradients after backward: summed once, also over several backwards, DDP and FSDP; their norm, each number once."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from tests.parallel.twin import error, fresh_seed
from tplearn import RankFailed, run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.parallel import clip_gradients, gradient_norm, partitions, sync_gradients

TOLERANCE = 1e-10  # relative, in float64
# 131 words and 2 KV heads: padding at every tp, copied KV heads at tp 4. Biases and a tied head, too.
CONFIG = LlamaConfig(32, 48, 2, 8, 2, 131, qkv_bias=True, tie_word_embeddings=True, initializer_range=0.3)
TP = [(2, False), (2, True), (4, False), (4, True)]
ADDS = "adds to a gradient that sync_gradients has summed"


class Model(nn.Module):
    """The loss of a Llama, times a number: a parameter of an ordinary module, the same on every rank."""

    def __init__(self, seed: int, sequence_parallel: bool, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.llama = Llama(CONFIG, group, sequence_parallel=sequence_parallel).double()
        self.scale = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))

    def forward(self, ids: Tensor) -> Tensor:
        return (self.llama.loss(ids, ids.roll(1, 1)) * self.scale).sum()


def full(model: nn.Module) -> dict[str, Tensor]:
    """Every gradient in dense form; names without those of wrappers."""
    found = {}
    for name, parameter, partition in partitions(model):
        gradient = parameter.grad.full_tensor() if hasattr(parameter.grad, "full_tensor") else parameter.grad
        found[name.removeprefix("module.")] = partition.full_tensor(gradient) if partition else gradient.clone()
    return found


def accumulated(seed: int, batches: Tensor, sequence_parallel: bool) -> tuple[dict[str, Tensor], float]:
    """Gradients of the mean over micro-batches, and their norm."""
    model = Model(seed, sequence_parallel)
    for ids in batches:
        (model(ids) / len(batches)).backward()
    sync_gradients(model)
    sync_gradients(model)  # finds nothing to do
    return full(model), gradient_norm(model).item()


def dense(seed: int, batches: Tensor) -> tuple[dict[str, Tensor], float]:
    """The same on one rank, where autograd alone adds up; the norm is torch's own."""
    model = Model(seed, False)
    sum(model(ids) / len(batches) for ids in batches).backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    return gradients, clip_grad_norm_(model.parameters(), 1.0).item()


def assert_dense(got: tuple[dict[str, Tensor], float], due: tuple[dict[str, Tensor], float], where: object) -> None:
    assert got[0].keys() == due[0].keys()
    wrong = {name: worst for name in due[0] if not (worst := error(got[0][name], due[0][name])) < TOLERANCE}
    assert not wrong and got[1] == pytest.approx(due[1], rel=TOLERANCE), (where, wrong, got[1], due[1])


def batches_of(number: int) -> Tensor:
    return torch.randint(131, (number, 2, 24))


@pytest.mark.parametrize(("tp", "sequence_parallel"), TP)
def test_three_backwards_and_one_sync(tp: int, sequence_parallel: bool) -> None:
    seed, batches = fresh_seed(), batches_of(3)
    due = dense(seed, batches)
    for got in run_ranks(accumulated, tp, seed, batches, sequence_parallel, record=False).values:
        assert_dense(got, due, seed)


def refused(work: Callable[[Model, Tensor], object]) -> str:
    """What a sequence of steps is told, after the first backward and sync."""
    model, ids = Model(0, True), torch.arange(48).view(2, 24)
    model(ids).backward()
    sync_gradients(model)
    try:
        work(model, ids)
    except ValueError as error:
        return str(error)
    return "fine"


def said(work: Callable[[Model, Tensor], object]) -> str:
    """The same on every rank."""
    values = set(run_ranks(refused, 2, work, record=False).values)
    assert len(values) == 1, values
    return values.pop()


def backward(model: Model, ids: Tensor) -> None:
    model(ids).backward()


def after_a_step(model: Model, ids: Tensor) -> None:
    """Wrong also without a second sync: the copies' gradients are no longer sums, nor partials."""
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model(ids).backward()


def after_a_clip(model: Model, ids: Tensor) -> None:
    clip_gradients(model, 0.1)
    model(ids).backward()


def a_gradient_of_itself(model: Model, ids: Tensor) -> None:
    """create_graph: the new gradient is another tensor, and holds the old one."""
    model(ids).backward(create_graph=True)


@pytest.mark.parametrize("work", [backward, after_a_step, after_a_clip, a_gradient_of_itself])
def test_a_backward_on_a_summed_gradient_is_refused(work: Callable) -> None:
    message = said(work)
    assert message.endswith(
        "norm.weight: this backward adds to a gradient that sync_gradients has summed over the ranks; call "
        "sync_gradients once, after the last backward of a step, and zero_grad() before the next step"
    )


def set_by_hand(model: Model, ids: Tensor) -> None:
    for parameter in model.parameters():
        parameter.grad.mul_(2)
    sync_gradients(model)


def test_a_second_sum_of_what_was_written_to_is_refused() -> None:
    assert "has summed this gradient already, and cannot tell what was written to it since then" in said(set_by_hand)


def none(model: Model) -> None:
    model.zero_grad()


def zeros(model: Model) -> None:
    model.zero_grad(set_to_none=False)


def zeros_behind_autograd(model: Model) -> None:
    for parameter in model.parameters():
        parameter.grad.data.zero_()


def new_zeros(model: Model) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)


def steps(seed: int, ids: Tensor, empty: Callable[[Model], None], twin: bool) -> list[tuple[dict[str, Tensor], float]]:
    """Two steps of SGD, and what else may stand between; of each the gradients and their norm."""
    model, seen = Model(seed, not twin), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        model(ids).backward()
        sync_gradients(model)
        # A question to autograd adds nothing, a copy and a file keep no gradient.
        torch.autograd.grad(model(ids), list(model.parameters()))
        assert all(parameter.grad is None for parameter in copy.deepcopy(model).parameters())
        torch.save(model, io.BytesIO())
        norm = clip_gradients(model, 1.0).item()
        seen.append((full(model), norm))
        optimizer.step()
        empty(model)
    return seen


@pytest.mark.parametrize("empty", [none, zeros, zeros_behind_autograd, new_zeros])
def test_every_way_to_empty_a_gradient(empty: Callable[[Model], None]) -> None:
    seed, ids = fresh_seed(), batches_of(1)[0]
    due = steps(seed, ids, none, True)
    for values in run_ranks(steps, 2, seed, ids, empty, False, record=False).values:
        for got, right in zip(values, due, strict=True):
            assert_dense(got, right, (seed, empty.__name__))


def set_from_autograd(seed: int, ids: Tensor) -> tuple[dict[str, Tensor], float]:
    """Gradients that no backward has put there, twice in a row, with none emptied."""
    model = Model(seed, True)
    for _ in range(2):
        for parameter, gradient in zip(
            model.parameters(), torch.autograd.grad(model(ids), list(model.parameters())), strict=True
        ):
            parameter.grad = gradient
        sync_gradients(model)
    marked = [parameter for parameter in model.parameters() if getattr(parameter, "summed", None)]
    assert marked and all(len(parameter._backward_hooks) == 1 for parameter in marked)  # nothing piles up
    return full(model), gradient_norm(model).item()


def test_gradients_set_by_hand_are_summed() -> None:
    seed, ids = fresh_seed(), batches_of(1)[0]
    for got in run_ranks(set_from_autograd, 2, seed, ids, record=False).values:
        assert_dense(got, dense(seed, ids[None]), seed)


def wrapped(
    seed: int, ids: Tensor, tp: int, kind: str, sequence_parallel: bool, each: bool = False
) -> tuple[dict[str, Tensor], float]:
    """dp × tp ranks: the same gradients, from each row's share of the batch in two micro-batches; the second step's."""
    mesh = dist.init_device_mesh("cpu", (dist.get_world_size() // tp, tp), mesh_dim_names=("dp", "tp"))
    model = Model(seed, sequence_parallel, mesh.get_group("tp"))
    if kind == "FSDP":
        for module in (*model.llama.layers, model):
            fully_shard(module, mesh=mesh["dp"])
    else:
        views = kind == "DDP, views of buckets"
        model = DistributedDataParallel(model, process_group=mesh.get_group("dp"), gradient_as_bucket_view=views)
    own = ids.chunk(mesh["dp"].size())[mesh["dp"].get_local_rank()]
    for _ in range(2):
        model.zero_grad()
        for part in own.chunk(2):
            (model(part) / 2).backward()
            if each:
                sync_gradients(model)
        sync_gradients(model)
    return full(model), clip_gradients(model, 1e9).item()


KINDS = ["FSDP", "DDP", "DDP, views of buckets"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dp", "tp", "sequence_parallel"), [(2, 2, True), (2, 4, False), (2, 4, True), (3, 2, True)])
def test_inside_data_parallel_wrappers(dp: int, tp: int, sequence_parallel: bool, kind: str) -> None:
    seed, ids = fresh_seed(), torch.randint(131, (2 * dp, 24))
    due = dense(seed, ids[None])
    for got in run_ranks(wrapped, dp * tp, seed, ids, tp, kind, sequence_parallel, record=False).values:
        assert_dense(got, due, (seed, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_inside_wrappers_a_sum_for_each_backward_is_refused(kind: str) -> None:
    with pytest.raises(RankFailed, match=f"Ranks 0, 1, 2, 3 raised ValueError: .*norm.*: this backward {ADDS}"):
        run_ranks(wrapped, 4, 0, torch.randint(131, (4, 24)), 2, kind, True, True, record=False)


def norms(sequence_parallel: bool, ids: Tensor, sync: bool) -> tuple[float, float]:
    """The norm, and what each rank's own numbers would say."""
    model = Model(5, sequence_parallel)
    model(ids).backward()
    if sync:
        sync_gradients(model)
    own = nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()])
    return gradient_norm(model).item(), own.item()


@pytest.mark.parametrize(("tp", "sequence_parallel"), TP)
def test_the_norm_is_the_dense_one(tp: int, sequence_parallel: bool) -> None:
    ids = batches_of(1)
    _, due = dense(5, ids)
    run = run_ranks(norms, tp, sequence_parallel, ids[0], True)
    for found, own in run.values:
        assert found == pytest.approx(due, rel=TOLERANCE)
        assert abs(own - due) > 1e-2 * due
    last = [[row for row in run.ledger.rows if row.rank == rank][-1] for rank in range(tp)]
    assert [(row.op, row.bytes) for row in last] == [("all_reduce", 8)] * tp
    assert sum(row.bytes == 8 for row in run.ledger.rows) == tp  # one number, once


def test_no_norm_of_partials() -> None:
    for sequence_parallel, name in (
        (True, r"llama\.layers\.0\.input_layernorm\.weight"),
        (False, r".*qkv_proj\.weight"),
    ):
        says = (
            f"Ranks 0, 1, 2, 3 raised ValueError: {name}: each rank has a partial of its gradient until sync_gradients"
        )
        with pytest.raises(RankFailed, match=says):
            run_ranks(norms, 4, sequence_parallel, batches_of(1)[0], False, record=False)


def without_some(ids: Tensor) -> float:
    """One rank alone has no gradient for its shard of a weight: it still takes part in the sum."""
    model = Model(5, True)
    model(ids).backward()
    sync_gradients(model)
    if dist.get_rank() == 1:
        model.llama.layers[0].mlp.down_proj.weight.grad = None
    return gradient_norm(model).item()


def test_a_missing_gradient_leaves_nobody_waiting() -> None:
    first, second = run_ranks(without_some, 2, batches_of(1)[0], record=False).values
    assert first == second


def test_one_rank_and_ordinary_modules() -> None:
    layer = nn.Linear(3, 2).double()
    assert gradient_norm(layer) == 0
    layer(torch.ones(4, 3, dtype=torch.float64)).sum().backward()
    due = nn.utils.get_total_norm([parameter.grad for parameter in layer.parameters()]).item()
    assert clip_gradients(layer, 0.5).item() == pytest.approx(due, rel=1e-15)
    assert gradient_norm(layer).item() == pytest.approx(0.5, rel=1e-5)
    assert clip_gradients(layer, float("inf")).item() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), "1", True, None])
def test_limits_that_are_none(limit: object) -> None:
    with pytest.raises(ValueError, match=r"limit = .* does not work; numbers above 0 do"):
        clip_gradients(nn.Linear(1, 1), limit)


@pytest.mark.parametrize(
    "function", [sync_gradients, gradient_norm, partitions, lambda module: clip_gradients(module, 1)]
)
def test_what_is_no_module(function: Callable) -> None:
    for what in (nn.Linear(2, 2).parameters(), [nn.Linear(2, 2)], torch.ones(2), None):
        with pytest.raises(ValueError, match=r"module = .* is not a torch.nn.Module; a model or a layer works"):
            function(what)
