"""A pipeline computes what one process does: under every schedule, and together with data and tensor parallelism."""

from collections import Counter
from functools import cache

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.parallel.twin import error, fresh_seed
from tests.pipeline.on_ranks import (
    BATCH,
    CONFIG,
    SEQ,
    STEPS,
    Case,
    adam_w,
    gradients_and_orders,
    texts,
    train_on_mesh,
    whole_model,
)
from tplearn import run_ranks
from tplearn.pipeline.engine import Pipeline
from tplearn.pipeline.kinds import KINDS
from tplearn.pipeline.orders import order

TIGHT = 1e-12
ON_TWO = [Case(name, 4) for name in KINDS] + [Case("GPipe", 1), Case("GPipe", 2, sizes=(1, 4))]
ON_TWO += [Case("Interleaved1F1B", 1), Case("ZBVZeroBubble", 2), Case("LoopedBFS", 8, 1)]
ON_FOUR = [Case("GPipe", 4), Case("1F1B", 8), Case("Interleaved1F1B", 8, 1)]
SEED = fresh_seed()


@cache
def dense() -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of the whole batch in one process."""
    model, windows = whole_model(SEED), texts(SEED)[0]
    loss = model.loss(windows[:, :-1], windows[:, 1:])
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


@cache
def on_ranks(p: int) -> list:
    return run_ranks(gradients_and_orders, p, ON_TWO if p == 2 else ON_FOUR, SEED, record=False).values


CASES = [(p, number) for p, cases in ((2, ON_TWO), (4, ON_FOUR)) for number in range(len(cases))]


def case_of(p: int, number: int) -> Case:
    return (ON_TWO if p == 2 else ON_FOUR)[number]


def name_of(value: tuple[int, int]) -> str:
    case = case_of(*value)
    return f"{case.schedule}, p {value[0]}, m {case.m}, v {case.v}"


@pytest.mark.parametrize("at", CASES, ids=name_of)
def test_loss_and_gradients_are_those_of_one_process(at: tuple[int, int]) -> None:
    p, number = at
    told = [by_rank[number] for by_rank in on_ranks(p)]
    losses = [loss for loss, _, _ in told if loss is not None]
    due, gradients = dense()
    assert len(losses) == 1 and abs(losses[0] - due) < TIGHT * due, SEED
    found = [(name, gradient) for _, mine, _ in told for name, gradient in mine.items()]
    assert Counter(name for name, _ in found) == Counter(gradients.keys()), "each parameter on one stage"
    for name, gradient in found:
        assert error(gradient, gradients[name]) < TIGHT, (name, SEED)


@pytest.mark.parametrize("at", CASES, ids=name_of)
def test_the_order_is_the_one_that_runs(at: tuple[int, int]) -> None:
    (p, number), case = at, case_of(*at)
    due = [[str(action) for action in actions] for actions in order(case.schedule, p, case.m, case.v)]
    assert [by_rank[number][2] for by_rank in on_ranks(p)] == due


def test_the_first_and_the_last_stage_of_a_v_are_on_rank_0() -> None:
    for number, case in enumerate(ON_TWO):
        losses = [by_rank[number][0] for by_rank in on_ranks(2)]
        assert [loss is not None for loss in losses] == ([True, False] if "V" in case.schedule else [False, True])


def twice_without_zero_grad(m: int) -> list[Tensor]:
    """The gradients of the first stage after one step of torch's schedule, and after a second."""
    pipe, windows, told = Pipeline(whole_model(SEED), "GPipe", m), texts(SEED)[0], []
    for _ in range(2):
        pipe.schedule.step(*([windows[:, :-1]] if dist.get_rank() == 0 else []), target=windows[:, 1:])
        told.append(next(pipe.parts[0].layers.parameters()).grad.clone())
    return told


def test_torch_divides_gradients_of_an_earlier_step_once_more() -> None:
    once, twice = run_ranks(twice_without_zero_grad, 2, 4, record=False).values[0]
    assert error(twice, once * (1 + 1 / 4)) < TIGHT and error(twice, 2 * once) > 0.1


def trained_alone(seed: int) -> tuple[list[float], dict[str, Tensor]]:
    model, losses = whole_model(seed), []
    optimizer = adam_w(model.parameters())
    for windows in texts(seed):
        optimizer.zero_grad()
        loss = model.loss(windows[:, :-1], windows[:, 1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: p.detach() for name, p in model.named_parameters()}


def assert_trained_as_alone(values: list, seed: int, replicas: int) -> None:
    due, weights = trained_alone(seed)
    seen = [losses for losses, _ in values if losses]
    assert len(seen) * STEPS == sum(map(len, seen))
    means = torch.tensor(seen, dtype=torch.float64).mean(0)  # tp ranks tell the same, replicas their own
    assert error(means, torch.tensor(due, dtype=torch.float64)) < TIGHT, seed
    assert len({tuple(losses) for losses in seen}) >= replicas, "each replica has its own windows"
    assert {name for _, mine in values for name in mine} == set(weights)
    for _, mine in values:
        for name, weight in mine.items():
            assert error(weight, weights[name]) < TIGHT, (name, seed)


@pytest.mark.slow
def test_pp_dp_tp_on_eight_ranks() -> None:
    seed, m = fresh_seed(), 2
    run = run_ranks(train_on_mesh, 8, (2, 2, 2), Case("1F1B", m), seed, timeout=240)
    assert_trained_as_alone(run.values, seed, replicas=2)
    rows = [row for row in run.ledger.rows if row.op != "new_group"]
    tp, dp, pp = (0, 1), (0, 2), (0, 4)
    of_rank_0 = {(row.op, row.group) for row in rows if row.rank == 0}
    assert of_rank_0 == {("all_reduce", tp), ("all_reduce", dp), ("send", pp), ("recv", pp)}
    # Rank r = 4 pp + 2 dp + tp: the last name of the mesh is the one whose ranks are neighbours.
    for row in rows:
        pp_at, dp_at, tp_at = row.rank // 4, row.rank // 2 % 2, row.rank % 2
        if row.op != "all_reduce":
            assert row.group == (row.rank % 4, row.rank % 4 + 4)
        else:
            first = 4 * pp_at
            assert row.group in ((first + 2 * dp_at, first + 2 * dp_at + 1), (first + tp_at, first + tp_at + 2))
    count = Counter((row.rank, row.op, row.group) for row in rows)
    assert count[0, "all_reduce", dp] == STEPS, "one bucket a step"
    # In the first step the stages learn shapes: three short messages each way, and a micro-batch more, of which the
    # first stage does the forward only.
    assert count[0, "send", pp] == count[0, "recv", pp] == STEPS * m + 3
    x, thin = (BATCH // 2 // m, SEQ, CONFIG.hidden_size), (BATCH // 2 // m, SEQ)
    of_x, of_loss = (Counter(row.rank for row in rows if row.op == "all_reduce" and row.shape == s) for s in (x, thin))
    first, last = 3, 2  # layers
    assert of_x[0] == STEPS * m * (1 + 4 * first) + (1 + 2 * first), "the embedding, and 2 + 2 a layer"
    assert of_x[4] == (STEPS * m + 1) * (4 * last + 1), "2 + 2 a layer, and the head's input backward"
    assert of_loss[4] == (STEPS * m + 1) * 3 and of_loss[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", [Case("1F1B", 4), Case("ZBVZeroBubble", 4)], ids=lambda case: case.schedule)
def test_pp_with_sequence_parallelism(case: Case) -> None:
    seed = fresh_seed()
    values = run_ranks(train_on_mesh, 4, (2, 1, 2), case, seed, True, record=False, timeout=240).values
    assert_trained_as_alone(values, seed, replicas=1)


def test_m_sends_each_way_over_every_edge() -> None:
    p, m = 2, 4
    rows = run_ranks(gradients_and_orders, p, [Case("1F1B", m)], SEED).ledger.rows
    x = (BATCH // m, SEQ, CONFIG.hidden_size)
    for rank in range(p):
        for op in ("send", "recv"):
            assert sum(row.rank == rank and row.op == op and row.shape == x for row in rows) == m
    assert {row.op for row in rows} == {"send", "recv"}, "pipelines need no collective"
