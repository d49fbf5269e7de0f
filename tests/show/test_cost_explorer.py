"""Chapter 16's pictures: bars are the cost model's, limits are said, and what the page says of them is so."""

import itertools
import json
import runpy
from pathlib import Path

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from tests.planning.held_out import ROWS
from tests.planning.published import GPT_FAST, LLAMA3, llama3
from tplearn.planning import (
    ACCELERATORS,
    MODELS,
    Layout,
    TrainingJob,
    all_layouts,
    compute_bound_tp,
    decode_time,
    fit_alpha_beta,
    kv_cache_bytes,
    step_time,
    weight_bytes_per_rank,
)
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch16 import draw_link, draw_tp_or_fsdp, link_picture
from tplearn.show.figures.ch16_explorer import HIGH, LOW, PARTS, paint_explorer
from tplearn.show.figures.ch16_links import LINKS, matmul_intensity
from tplearn.show.figures.ch16_parts import PHASES, cost_of
from tplearn.show.figures.ch16_training import GPUS, JOB, PUBLISHED, published_seconds, step_rows, too_fast
from tplearn.show.widgets import cost_explorer

H100, LLAMA_70B = ACCELERATORS["H100"], MODELS["Llama-3.1-70B"]
SETTING = {"model": "Llama-3.1-70B", "card": "H100", "phase": "decode", "batch": 64, "tokens": 2048, "tp": 8}
PAGE = (Path(__file__).parents[2] / "chapters" / "16_cost.ipynb").read_text(encoding="utf-8")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def bars(figure: Figure) -> dict[float, float]:
    """Height of all that is stacked at one place, by its left edge; the legend lies below."""
    heights: dict[float, float] = {}
    for collection in figure.axes[0].collections:
        for path in collection.get_paths() if isinstance(collection, PolyCollection) else ():
            (left, low), (_, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            if low >= LOW - 1e-9:
                heights[round(left, 6)] = heights.get(round(left, 6), 0.0) + high - low
    return heights


@pytest.mark.parametrize("phase", PHASES)
def test_bars_are_whole_and_say_what_the_cost_model_says(phase: str) -> None:
    figure = Figure()
    words = paint_explorer(figure, **SETTING | {"phase": phase})
    assert list(bars(figure).values()) == pytest.approx([HIGH - LOW] * 6)
    costs = [cost_of(LLAMA_70B, H100, phase, 64, 2048, tp) for tp in (1, 2, 4, 8, 16, 32)]
    assert all(set(cost.parts) <= set(PARTS) for cost in costs)
    shown = texts(figure)
    for cost in costs:
        assert f"{costs[0].total / cost.total:.1f}×" in shown
        assert (f"tp {cost.tp}" if cost.fits else f"tp {cost.tp} ✗") in shown
    own = costs[3]
    assert f"{costs[0].total / own.total:.1f} times as fast as tp 1 on 8 times the GPUs" in words
    assert f"Collectives take {own.parts['collectives'] / own.total:.0%}" in words


def test_a_decode_bar_is_decode_time_and_reads_what_the_rank_holds() -> None:
    for tp, batch in itertools.product((1, 8, 16), (1, 64, 512)):
        cost, time = cost_of(LLAMA_70B, H100, "decode", batch, 2048, tp), decode_time(LLAMA_70B, H100, tp, batch, 2048)
        assert cost.total == pytest.approx(time.total)
        held = weight_bytes_per_rank(LLAMA_70B, tp) + kv_cache_bytes(LLAMA_70B, tp, batch, 2048)
        assert cost.fits == (held <= H100.memory)
        assert ("matmuls" in cost.parts) == (time.compute > time.weights)


def test_a_training_bar_is_a_step_of_one_replica() -> None:
    job = TrainingJob(MODELS["Llama-3.1-8B"], 2048, 4)
    cost = cost_of(job.shape, H100, "train", 4, 2048, 2)
    assert cost.total == pytest.approx(step_time(job, Layout(tp=2, zero=0), H100).total)


def test_limits_are_those_of_the_model_and_the_card() -> None:
    figure = Figure()
    paint_explorer(figure, **SETTING)
    assert {"one node: 8", "KV heads: 8", "F·W/C: 13.0"} <= set(texts(figure))
    paint_explorer(figure, **SETTING | {"card": "B200"})
    assert "F·W/C: 11.5" in texts(figure)


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="cannot be cut over tp = 8 ranks: .*; sizes that work: 1, 2"):
        paint_explorer(Figure(), **SETTING | {"model": "Qwen2.5-0.5B"})
    with pytest.raises(ValueError, match="phase = 'sleep' is not known; values that work: prefill, decode, train"):
        paint_explorer(Figure(), **SETTING | {"phase": "sleep"})


def test_every_setting_of_the_controls_draws_or_is_refused() -> None:
    controls = cost_explorer.show().children[0].children
    models, cards, phases, batches, tokens, tps = (control.options for control in controls)
    figure = Figure()
    for number, (model, card, phase) in enumerate(itertools.product(models, cards, phases)):
        batch, length, tp = (options[number % len(options)] for options in (batches, tokens, tps))
        try:
            assert paint_explorer(figure, model, card, phase, batch, length, tp)
        except ValueError as error:
            assert f"tp = {tp}" in str(error)
        assert len(figure.axes[0].get_children()) < 90, "more artists than a quick redraw can bear"


def test_what_the_page_says_of_the_explorer() -> None:
    one = cost_of(LLAMA_70B, H100, "decode", 1, 2048, 8)
    shares = [round(100 * one.parts[name] / one.total) for name in ("weights", "kernel starts", "collectives")]
    assert shares == [58, 32, 10]
    totals = {phase: [cost_of(LLAMA_70B, H100, phase, 64, 2048, tp).total for tp in (8, 16)] for phase in PHASES}
    assert [phase for phase, (eight, sixteen) in totals.items() if sixteen > eight] == ["decode"]


def test_a_matmul_has_the_flops_and_bytes_of_its_three_matrices() -> None:
    assert matmul_intensity(3, 5, 7) == 2 * 3 * 5 * 7 / (2 * (15 + 35 + 21))
    ridge = H100.peak_flops / H100.memory_bandwidth
    assert round(ridge) == 295 and matmul_intensity(325, 4096, 14336) < ridge < matmul_intensity(326, 4096, 14336)


def test_what_the_page_says_of_the_recorded_link() -> None:
    told = json.loads((RECORDED / "links.json").read_text())
    recorder = runpy.run_path(str(RECORDED / "links.py"), run_name="__main__.links")
    assert told["bytes"] == recorder["SIZES"] and list(told["seconds"]) == ["gloo", "shared memory"]
    few = [place for place, size in enumerate(told["bytes"]) if size <= 2**20]
    for way, law in (("gloo", (250, 0.38)), ("shared memory", (16, 0.33))):
        sizes, seconds = told["bytes"], told["seconds"][way]
        alpha, beta = fit_alpha_beta([sizes[k] for k in few[::2]], [seconds[k] for k in few[::2]])
        assert (round(alpha * 1e6), round(beta * 1e9, 2)) == law
        errors = {sizes[k]: (alpha + beta * sizes[k]) / seconds[k] - 1 for k in range(len(sizes))}
        if way == "gloo":
            assert max(abs(errors[sizes[k]]) for k in few[1::2]) < 0.03 and errors[2**22] < -0.5
        else:
            nvlink = H100.node_bandwidth * H100.link_fraction
            assert nvlink * beta == pytest.approx(120, abs=5)
        assert errors[2**26] < -0.5
    assert round(told["share of a block"], 3) == 0.009 and round(told["GFLOP/s"]) == 98
    assert H100.matmul_flops / told["GFLOP/s"] / 1e9 == pytest.approx(5600, rel=0.01)


def test_a_reader_sees_own_points_and_no_mark_where_sizes_end_before_it() -> None:
    sizes, told = [1024, 2048, 4096], {"gloo": [1e-4, 1.1e-4, 1.3e-4]}
    figure = link_picture(sizes, told)
    assert len(figure.axes[0].lines) == 3 and not figure.axes[0].texts
    assert len(draw_link().axes[0].texts) == 1


def test_tp_and_fsdp_meet_at_20000_tokens() -> None:
    tp, fsdp = (line.get_ydata() for line in draw_tp_or_fsdp().axes[0].lines)
    assert 40_000 * fsdp[0] / tp[1] == pytest.approx(20_000, rel=0.005)


def test_the_network_alone_is_slow_and_two_nodes_are_slower_than_one_in_decode() -> None:
    token = {name: [decode_time(LLAMA_70B, card, tp, 16, 2048).total for tp in (8, 16)] for name, card in LINKS.items()}
    assert token["nodes of 8"][1] > token["nodes of 8"][0] > token["one node of 16"][1]
    assert compute_bound_tp(LLAMA_70B.intermediate_size, H100, across=True) == pytest.approx(11.6, abs=0.05)


def test_the_step_of_the_paper_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    job, layout = llama3("16,384")
    assert (job, layout, LLAMA3["16,384"][0]) == (JOB, PUBLISHED, GPUS)
    rows = list(step_rows().values())
    assert rows[0].total == pytest.approx(published_seconds(), rel=0.01) and len(rows) == 5
    assert min(rows, key=lambda time: time.total) is rows[2], "tp 8"
    assert all(time.optimizer / time.total < 1e-3 for time in rows), "too little to draw"
    monkeypatch.setattr("tplearn.planning.layouts.CP_TOKENS", 2048)
    found = all_layouts(JOB, GPUS, H100).ranked
    cuts = [(one.layout.tp, one.layout.cp, one.layout.pp, one.layout.dp) for one in found]
    assert cuts[0][:2] == (4, 4) and round(found[0].time.total, 2) == 5.90 and cuts.index((8, 1, 16, 128)) == 5


def test_what_the_page_says_of_the_held_out_rows() -> None:
    assert sum(too_fast(row) for row in ROWS) == 25
    assert sum(abs(row["error"]) > 1 / 3 for row in ROWS) == 6
    assert sum(abs(row["error"]) <= 0.10 for row in ROWS) == 15
    assert max(ROWS, key=lambda row: abs(row["error"]))["measured"] == 1181


def test_published_numbers_on_the_page_are_those_of_the_papers() -> None:
    for tp, rate in [*GPT_FAST["Llama-2-7B"].items(), *GPT_FAST["Llama-2-70B"].items()]:
        assert f"{rate}" in PAGE, tp
