"""Chapter 13's pictures: meshes, hands and bytes are real ones, refusals are said, curves are what ranks compute."""

import json
import runpy

import pytest
import torch
from matplotlib.figure import Figure
from torch.distributed.device_mesh import init_device_mesh
from torch.utils.data import DistributedSampler

from tplearn import run_ranks
from tplearn.llama import LlamaConfig
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.planning import ModelShape
from tplearn.show.figures.ch13 import RECORDED, recorded_run
from tplearn.show.figures.ch13_mesh import ORDERS, Mesh, Traffic, paint_mesh, windows_of
from tplearn.show.widgets import mesh_picker

SETTING = {"ranks": 16, "tp": 8, "order": "dp, tp", "model": "Llama-3.1-8B", "batch": 16, "length": 2048}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def coordinates(sizes: tuple[int, int], names: tuple[str, str]) -> tuple[int, int]:
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    return mesh["dp"].get_local_rank(), mesh["tp"].get_local_rank()


@pytest.mark.parametrize("order", ORDERS)
def test_ranks_are_numbered_as_init_device_mesh_numbers_them(order: str) -> None:
    sizes = (3, 2) if order == "dp, tp" else (2, 3)
    mesh = Mesh(6, 2, order)
    real = run_ranks(coordinates, 6, sizes, tuple(order.split(", ")), record=False).values
    assert [mesh.rank(*at) for at in real] == list(range(6))


def test_windows_are_dealt_as_distributed_sampler_deals_them() -> None:
    for dp in (1, 2, 3):
        hands = [DistributedSampler(range(12), dp, replica, shuffle=False) for replica in range(dp)]
        assert [list(hand) for hand in hands] == [windows_of(12, dp, replica) for replica in range(dp)]


def one_step(config: LlamaConfig, recipe: Recipe) -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    trainer = Trainer.fresh(config, recipe, mesh)
    trainer.step(next(batches(torch.arange(200) % 90, recipe, trainer.dp)))


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_the_bytes_are_those_of_a_real_step(kv_heads: int) -> None:
    config = LlamaConfig(32, 48, 3, 4, kv_heads, 91)
    ledger = run_ranks(one_step, 4, config, Recipe(steps=1, batch=6, length=16)).ledger
    shape = ModelShape(32, 48, 3, 4, kv_heads, None, 91)
    due = Traffic.of(shape, Mesh(4, 2), windows=3, length=16)
    own = [row for row in ledger.rows if row.rank == 0]
    large = [row for row in own if row.group == (0, 1) and row.shape == (3, 16, 32)]
    assert len(large) == due.meetings and {row.bytes for row in large} == {2 * due.activation}  # 32-bit numbers there
    assert sum(row.wire_bytes for row in large) == 2 * due.over_tp
    gradients = max((row for row in own if row.group == (0, 2)), key=lambda row: row.bytes)
    assert gradients.bytes == 2 * due.gradients and gradients.wire_bytes == 2 * due.over_dp
    others = sum(row.wire_bytes for row in own if row not in large and row is not gradients)
    assert others < 0.05 * (2 * due.over_tp + 2 * due.over_dp), "what is left out is small"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ("8 of 16 windows, 32,768 tokens", "inside one machine: 130 all-reduces of 128 MiB", "sends 1.87 GiB")),
        ({"tp": 2}, ("dp 8 × tp 2", "130 all-reduces of 32 MiB: a rank sends 4.06 GiB", "a rank sends 13.1 GiB")),
        ({"order": "tp, dp"}, ("across 2 machines: 130 all-reduces of 128 MiB: a rank sends 28.4 GiB",)),
        ({"tp": 16, "batch": 6}, ("across 2 machines", "Over dp: nothing to send")),
        ({"tp": 1}, ("Over tp, inside one machine: nothing to send", "1 all-reduce of 15 GiB")),
    ],
)
def test_the_words_say_who_reads_and_what_is_sent(change: dict, said: tuple[str, ...]) -> None:
    words = paint_mesh(Figure(), **SETTING | change)
    for part in said:
        assert part in words, words


def test_each_rank_stands_beside_its_windows_and_below_its_shard() -> None:
    figure = Figure()
    paint_mesh(figure, **SETTING | {"ranks": 8, "tp": 2, "order": "tp, dp"})
    shown = texts(figure)
    assert [text for text in shown if text.startswith("rank ")] == [f"rank {k}" for k in (0, 4, 1, 5, 2, 6, 3, 7)]
    assert "replica 1: 1, 5, 9, …" in shown and "shard 1" in shown
    paint_mesh(figure, **SETTING | {"ranks": 64, "tp": 2, "batch": 64})
    shown = texts(figure)
    assert "replica 31: 31, 63" in shown and "…" in shown and "rank 63\nmachine 7" in shown


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tp": 3}, "tp = 3 does not divide 16 ranks; sizes that work: 1, 2, 4, 8, 16"),
        ({"ranks": 4}, "tp = 8 does not divide 4 ranks; sizes that work: 1, 2, 4"),
        ({"batch": 6, "tp": 4}, "batch = 6 does not divide by dp = 4 replicas; multiples of 4 work"),
        ({"model": "Qwen2.5-0.5B", "tp": 4}, "num_attention_heads = 14"),
        ({"order": "pp"}, "order = 'pp' is none of a mesh; orders that work: dp, tp and tp, dp"),
    ],
)
def test_what_does_not_divide_is_refused_in_a_sentence(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match="work") as caught:
        paint_mesh(Figure(), **SETTING | change)
    assert reason in str(caught.value)


def test_every_setting_of_the_controls_draws_or_is_refused() -> None:
    ranks, tps, orders, models, batches_, lengths = (c.options for c in mesh_picker.show().children[0].children)
    figure, drawn = Figure(), 0
    for number, (count, tp) in enumerate((count, tp) for count in ranks for tp in tps):
        setting = {"ranks": count, "tp": tp, "order": orders[number % 2], "model": models[number % len(models)]}
        setting |= {"batch": batches_[number % len(batches_)], "length": lengths[number % len(lengths)]}
        try:
            paint_mesh(figure, **setting)
        except ValueError as error:
            assert "work" in str(error)
        else:
            drawn += 1
            assert len(figure.axes[0].get_children()) < 130, "more artists than a quick redraw can bear"
    assert drawn >= 4


def test_a_refusal_is_told_and_hides_the_picture() -> None:
    widget = mesh_picker.show()
    assert "dp 2 × tp 8" in widget.words.value
    widget.children[0].children[1].value = 3
    assert "tp = 3 does not divide 16 ranks" in widget.words.value and widget.image.layout.visibility == "hidden"
    widget.children[0].children[1].value = 4
    assert "dp 4 × tp 4" in widget.words.value and widget.image.layout.visibility == "visible"


def test_the_recorded_small_curves_are_those_that_ranks_compute() -> None:
    told = json.loads((RECORDED / "overlay.json").read_text())
    fresh = runpy.run_path(str(RECORDED / "overlay.py"), run_name="__main__.overlay")["record"](steps=3)
    assert fresh.keys() == told.keys()
    for name, curve in fresh.items():
        assert curve == pytest.approx(told[name][:3], rel=1e-5 if "float32" in name else 1e-11), name
    dense = told["1×1"]
    for name, curve in told.items():
        away = max(abs(ours - due) / due for ours, due in zip(curve, dense, strict=True))
        low, high = (1e-6, 1e-2) if "float32" in name else (0.05, 1) if "cut over tp" in name else (0, 1e-11)
        assert low <= away < high, name


def test_the_recorded_run_on_four_ranks_is_that_of_one_process() -> None:
    alone, four = recorded_run("1x1"), recorded_run("2x2")
    told = (RECORDED / "README.md").read_text()
    for mesh, rows in (("1x1", alone), ("2x2", four)):
        assert [row["step"] for row in rows] == list(range(1, 301))
        assert f"--mesh {mesh} --steps 300 --batch 8 --length 128" in told
    for ours, due in zip(four, alone, strict=True):
        assert ours["rate"] == due["rate"] and ours["tokens"] == due["tokens"] == due["step"] * 8 * 128
        assert ours["loss"] == pytest.approx(due["loss"], rel=0.02), "rounding, which training makes grow"
        assert (ours["held_out_bits"] is None) == (due["held_out_bits"] is None)
    assert four[-1]["held_out_bits"] == pytest.approx(alone[-1]["held_out_bits"], rel=0.01)
    assert alone[-1]["loss"] < 0.75 * alone[0]["loss"]
