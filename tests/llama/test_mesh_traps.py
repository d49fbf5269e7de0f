"""The traps of training on a mesh: each shows where it says it shows, and nowhere else."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from tests.llama import mesh_traps
from tests.llama.mesh import CONFIG, RECIPE, Curve, curve, furthest, text
from tplearn import run_ranks
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.parallel.place import Place


@cache
def ran(wrong: str) -> list[tuple[Curve, Tensor]]:
    """Every rank's, on 2 × 2."""
    return run_ranks(mesh_traps.wrong_run, 4, wrong, (2, 2), text(), record=False).values


def losses(wrong: str) -> list[Tensor]:
    return [torch.tensor([loss for loss, _ in steps], dtype=torch.float64) for steps, _ in ran(wrong)]


def norms(wrong: str) -> list[Tensor]:
    return [torch.tensor([norm for _, norm in steps], dtype=torch.float64) for steps, _ in ran(wrong)]


def far(ours: Tensor, due: Tensor) -> float:
    return float(((ours - due).abs() / due.abs()).max())


def test_data_cut_over_tp_falls_equally_on_every_rank_and_is_another_curve() -> None:
    first, *others = losses("data by tp")
    assert all(torch.equal(first, other) for other in others) and first[-1] < first[0] - 0.3
    assert far(first, losses("right")[0]) > 1e-2


def test_adamw_hides_a_gradient_dp_times_too_large_and_its_norm_does_not() -> None:
    assert norms("sum")[0][0] == pytest.approx(2 * float(norms("right")[0][0]), rel=1e-12)
    assert 1e-10 < far(losses("sum")[0], losses("right")[0]) < 0.05  # the curve hardly moves


@pytest.mark.parametrize("wrong", ["over the world", "no mean", "clip before the mean", "local norm"])
def test_a_wrong_mean_or_norm_leaves_the_curve(wrong: str) -> None:
    assert far(losses(wrong)[0], losses("right")[0]) > 1e-6, wrong


def test_copies_drift_apart_where_norms_are_local_and_replicas_where_there_is_no_mean() -> None:
    assert all(torch.equal(weight, ran("right")[0][1]) for _, weight in ran("right"))
    local, alone = ([weight for _, weight in ran(wrong)] for wrong in ("local norm", "no mean"))
    assert far(local[1], local[0]) > 1e-3 and not torch.equal(norms("local norm")[0], norms("local norm")[1])
    assert far(alone[2], alone[0]) > 1e-3
    for falling in losses("no mean"):
        assert falling[-1] < falling[0] - 0.3  # each falls all the same


def test_norms_that_count_twice() -> None:
    """Two KV heads on four ranks: copies are a good part of the model."""
    windows = next(batches(text(), RECIPE, Place()))
    values = run_ranks(mesh_traps.norms_of_a_step, 4, (1, 4), windows).values
    due = values[0]["right"]
    assert all(value["right"] == pytest.approx(due, rel=1e-12) for value in values)
    assert values[0]["all squares over tp"] > 1.02 * due
    assert len({round(value["local"], 9) for value in values}) == 4
    two_by_two = run_ranks(mesh_traps.norms_of_a_step, 4, (2, 2), windows).values[0]
    assert two_by_two["right"] == pytest.approx(due, rel=1e-9)
    assert two_by_two["counted once, over the world"] == pytest.approx(2**0.5 * due, rel=1e-9)


def test_past_ddps_forward_nothing_is_meaned() -> None:
    for through, past in run_ranks(mesh_traps.past_ddp, 4, text()).values:
        assert through < 1e-12 and past > 1e-2


def test_fsdp_wants_its_forward() -> None:
    windows = torch.randint(CONFIG.vocab_size, (2, 9))
    for said in run_ranks(mesh_traps.fsdp_without_its_forward, 2, windows).values:
        assert "mixed torch.Tensor and DTensor" in said


def test_ddp_on_a_plans_parameters() -> None:
    windows = torch.randint(mesh_traps.EVEN.vocab_size, (2, 9))
    for by_group, left in run_ranks(mesh_traps.ddp_on_a_plan, 4, windows).values:
        assert "does not have a sharding strategy" in by_group and left == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fsdp", "replicate"])
def test_the_plan_on_a_mesh(engine: str) -> None:
    windows = torch.randint(mesh_traps.EVEN.vocab_size, (4, 9))
    for norm, worst, said in run_ranks(mesh_traps.plan_on_a_mesh, 4, engine, windows).values:
        assert norm < 1e-12 and worst < 1e-12 and said == ""


def test_one_norm_a_mesh_where_norms_are_not_in_the_plan() -> None:
    windows = torch.randint(mesh_traps.EVEN.vocab_size, (4, 9))
    for norm, worst, said in run_ranks(mesh_traps.plan_on_a_mesh, 4, "fsdp, plain norms", windows).values:
        assert norm < 1e-12 and worst < 1e-12
        assert "mesh" in said  # PyTorch's own clipping refuses


def test_a_step_has_as_many_tokens_whatever_tp_is() -> None:
    assert RECIPE.tokens == RECIPE.batch * RECIPE.length
    assert [RECIPE.share(dp) * dp * RECIPE.length for dp in (1, 2, 4, 8)] == [RECIPE.tokens] * 4


def test_right_is_the_dense_curve() -> None:
    """Else the traps above were measured against another mistake."""
    trainer = Trainer.fresh(CONFIG, replace(RECIPE, clip=0.5), dtype=torch.float64)
    assert furthest(ran("right")[0][0], curve(trainer, text())) < 1e-10
