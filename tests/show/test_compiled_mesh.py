"""Chapter 15's pictures: the record is what JAX compiles, layers by hand send what is drawn; words and refusals."""

import itertools
import json
import runpy

import pytest
import torch
from matplotlib.figure import Figure
from torch.distributed.device_mesh import init_device_mesh

from tplearn import run_ranks
from tplearn.llama import TINY_LLAMA, LlamaConfig
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.planning import parameter_count
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch15_ledger import TINY, Side, by_hand, compiled, number_bytes, shape_of, verdict
from tplearn.show.figures.ch15_mesh import Mesh
from tplearn.show.style import png_bytes
from tplearn.show.widgets import compiled_mesh
from tplearn.show.widgets.compiled_mesh import MESHES, PHASES, draw, recorded

SETTING = {"model": TINY, "mesh": "2x4", "phase": "forward"}
CONFIG = LlamaConfig(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=8,
    num_key_value_heads=4,
    vocab_size=96,
)
FITS = [(model, mesh) for model in ("tiny-llama", "Llama-3.1-8B", "Qwen2.5-7B") for mesh in ("4x2", "2x4")]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.xdist_group("jax")
def test_the_record_is_what_jax_compiles_today() -> None:
    pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")
    script = runpy.run_path(str(RECORDED / "compiled_meshes.py"), run_name="script")
    script["cpu_devices"](8)
    config = LlamaConfig.from_folder(TINY_LLAMA)
    for mesh in ("2x4", "1x(4x2)"):
        fresh = script["counted"](config, script["mesh_of"](mesh), "forward", 32)
        assert fresh == recorded()[TINY]["meshes"][mesh]["forward"], mesh


def test_all_of_it_was_recorded() -> None:
    assert recorded() == json.loads((RECORDED / "compiled_meshes.json").read_text())
    for told in recorded().values():
        assert list(told["meshes"]) == list(MESHES) and all(set(PHASES) < set(each) for each in told["meshes"].values())
    assert "compiled_meshes.json" in (RECORDED / "README.md").read_text()


@pytest.mark.parametrize(("model", "mesh"), FITS)
def test_where_heads_divide_annotations_give_two_all_reduces_a_layer_and_one(model: str, mesh: str) -> None:
    told = recorded()[model]
    ops = told["meshes"][mesh]["forward"]
    assert list(ops) == ["all_reduce"] and ops["all_reduce"][:2] == [2 * told["layers"] + 1] * 2
    ours, hand = (
        compiled(model, told, mesh, "forward"),
        by_hand(shape_of(model), number_bytes(model), told["texts"], Mesh.of(mesh), "forward"),
    )
    assert ours.held == hand.held and ours.sent == pytest.approx(hand.sent, rel=1e-6)


@pytest.mark.parametrize("model", ["tiny-llama", "Llama-3.1-8B", "Qwen2.5-7B"])
def test_numbers_held_are_those_of_the_plan(model: str) -> None:
    shape = shape_of(model)
    meshes = recorded()[model]["meshes"]
    assert meshes["8x1"]["numbers"] == parameter_count(shape) and meshes["8x1"]["forward"] == {}
    assert parameter_count(shape) / 8 < meshes["1x8"]["numbers"] < meshes["1x(4x2)"]["numbers"]
    if model == TINY:
        held = by_hand(shape, 4, (8, 32), Mesh.of("1x8"), "forward").held
        assert held == meshes["1x(4x2)"]["numbers"] * 4, "by hand KV heads have copies"


def one_step(dp: int, tp: int) -> None:
    mesh = init_device_mesh("cpu", (dp, tp), mesh_dim_names=("dp", "tp"))
    recipe = Recipe(steps=1, batch=8, length=16)
    trainer = Trainer.fresh(CONFIG, recipe, mesh)
    trainer.step(next(batches(torch.arange(400) % 90, recipe, trainer.dp)))


@pytest.mark.parametrize(("dp", "tp"), [(2, 2), (1, 8)])
def test_layers_by_hand_send_what_is_drawn(dp: int, tp: int) -> None:
    ledger = run_ranks(one_step, dp * tp, dp, tp).ledger
    side = by_hand(CONFIG, 4, (8, 16), Mesh(dp, tp), "forward + backward")
    rows = [row for row in ledger.rows if row.rank == 0 and row.op == "all_reduce"]
    large = [row for row in rows if row.shape == (8 // dp, 16, CONFIG.hidden_size)]
    assert (len(large), " of activations") in [(count, remark) for _, count, remark in side.counts]
    norms = [row for row in rows if row.dtype == "float64"]  # the step also takes the gradient's norm
    assert len(rows) - len(norms) == side.total
    assert sum(row.wire_bytes for row in rows if row not in norms) == pytest.approx(side.sent, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {},
            (
                "32-bit numbers: forward, mesh 2×4",
                "JAX, compiled: 13 all-reduces;",
                "holds 3.23 MB",
                "13 collectives, as by hand ✓",
            ),
        ),
        ({"mesh": "8x1"}, ("no collective; a device holds 12.9 MB and sends nothing", "nothing is sent ✓")),
        ({"mesh": "1x8"}, ("18 all-to-alls, 13 all-reduces", "12 permutes", "55 collectives where 13 do ✗")),
        ({"mesh": "1x(4x2)"}, ("mesh 1×(kv 4 × copy 2)", "13 collectives, as by hand ✓")),
        (
            {"phase": "forward + backward"},
            ("30 all-reduces of 106 tensors", "26 all-reduces of activations", "the bytes ✗"),
        ),
        ({"model": "Llama-3.1-8B", "mesh": "1x(4x2)"}, ("65 all-reduces", "16-bit numbers")),
        (
            {"model": "Qwen2.5-7B", "mesh": "1x8"},
            ("By hand: refused, 28 query heads, 4 KV heads on 8 ranks", "does not, and puts in 421 collectives ✗"),
        ),
    ],
)
def test_the_words_say_both_ledgers_and_the_verdict(change: dict, said: tuple[str, ...]) -> None:
    words = draw(Figure(), **SETTING | change)
    for part in said:
        assert part in words, words


def test_a_wrong_annotation_is_judged_by_ops_then_by_bytes() -> None:
    hand = Side("by hand", (("all_reduce", 5, ""),), 8, 100)
    assert verdict(Side("", (("all_reduce", 5, ""),), 8, 100), hand)[1]
    for counts, sent in ((("all_reduce", 9, ""), 100), (("all_gather", 5, ""), 100), (("all_reduce", 5, ""), 150)):
        words, good = verdict(Side("", (counts,), 8, sent), hand)
        assert not good and "✗" in words


def test_devices_texts_and_parts_stand_in_the_cells() -> None:
    figure = Figure()
    draw(figure, **SETTING)
    shown = texts(figure)
    assert "device 0\ntexts 0–3\nquarter 0" in shown and "device 7\ntexts 4–7\nquarter 3" in shown
    draw(figure, **SETTING | {"mesh": "8x1"})
    assert "device 5\ntext 5\nall" in texts(figure) and "groups of one" in texts(figure)
    draw(figure, **SETTING | {"mesh": "1x(4x2)"})
    assert "device 5\nkv 2\ncopy 1" in texts(figure)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "gpt2"}, "model = 'gpt2' was not compiled; tiny-llama, Llama-3.1-8B, Qwen2.5-7B were"),
        ({"mesh": "3x3"}, "mesh = '3x3' was not compiled; 8x1, 4x2, 2x4, 1x8"),
        ({"phase": "backward"}, "phase = 'backward' was not compiled; forward, forward"),
    ],
)
def test_what_was_not_recorded_is_refused_in_a_sentence(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match="was not compiled") as caught:
        draw(Figure(), **SETTING | change)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["2x2", "8", "x8", "-1x-8", "1x(2x4)"])
def test_a_mesh_of_another_size_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no mesh of 8 devices; 8x1, 4x2, 2x4, 1x8"):
        Mesh.of(name)


def test_every_setting_of_the_controls_draws() -> None:
    models, meshes, phases = (control.options for control in compiled_mesh.show().children[0].children)
    figure = Figure()
    for model, (_, mesh), phase in itertools.product(models, dict(meshes).items(), phases):
        words = draw(figure, model=model, mesh=mesh, phase=phase)
        assert "✓" in words or "✗" in words
        assert len(figure.axes[0].get_children()) < 90, "more artists than a quick redraw can bear"
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_moving_a_control_draws_again() -> None:
    widget = compiled_mesh.show()
    before, (model, mesh, _) = widget.image.value, widget.children[0].children
    assert "13 collectives, as by hand ✓" in widget.words.value
    mesh.value = "1x8"
    assert widget.image.value != before and "55 collectives where 13 do ✗" in widget.words.value
    model.value = "Qwen2.5-7B"
    assert "refused" in widget.words.value and widget.image.layout.visibility == "visible"
