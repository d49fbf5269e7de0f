"""The block's arrows: states, shapes and bytes are the layers' own, refusals are drawn, a redraw is quick work."""

import pytest
import torch
from matplotlib.figure import Figure

from tplearn import run_ranks
from tplearn.llama import Block, LlamaConfig
from tplearn.planning import MODELS
from tplearn.show.figures.ch11 import draw_letters, paint_block
from tplearn.show.style import png_bytes
from tplearn.show.widgets import block_arrows


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(
    ("setting", "state", "bytes_sent"),
    [
        (("Llama-3.1-8B", 8192, 8, "TP"), "R, [8,192, 4,096]", "448 MiB for this layer: 2 + 2 all-reduces"),
        (("Llama-3.1-8B", 8192, 8, "TP + SP"), "S(1), own tokens, [1,024, 4,096]", "448 MiB for this layer: 4 + 4"),
        (("Llama-3.1-70B", 2048, 2, "TP"), "R, [2,048, 8,192]", "128 MiB"),
        (("TinyLlama-1.1B", 1, 4, "TP"), "R, [1, 2,048]", "24 KiB"),
    ],
)
def test_the_words_say_states_shapes_and_bytes(setting: tuple, state: str, bytes_sent: str) -> None:
    model, tokens, tp, way = setting
    words = paint_block(Figure(), model=model, tokens=tokens, tp=tp, way=way)
    assert state in words and bytes_sent in words


def step(sp: bool) -> None:
    config = LlamaConfig(64, 96, 1, 8, 4, 10)
    block = Block(config, sequence_parallel=sp)
    x = torch.randn(1, 16 // (4 if sp else 1), 64, requires_grad=True)
    table = torch.ones(16, 8)
    block(x, table, table).sum().backward()


@pytest.mark.parametrize("sp", [False, True])
def test_the_bytes_are_those_of_the_librarys_own_block(sp: bool) -> None:
    ledger = run_ranks(step, 4, sp).ledger
    all_reduce = 2 * 3 / 4 * 16 * 64 * 4  # 32-bit numbers
    assert ledger.wire_bytes(rank=0) == 4 * all_reduce
    assert ledger.count(rank=0) == (8 if sp else 4)


def test_states_stand_on_the_arrows_in_the_blocks_order() -> None:
    for way, between in (("TP", "R"), ("TP + SP", "S(1)")):
        figure = Figure()
        paint_block(figure, model="Llama-3.1-8B", tokens=8192, tp=8, way=way)
        states = [text for text in texts(figure) if text in ("R", "P", "S(1)", "S(2)")]
        assert states == [between, between, "R", "S(2)", "S(2)", "P", between, between] * 2


def test_the_opening_picture_has_the_letters_and_leaves_the_bytes_to_a_prediction() -> None:
    shown = texts(draw_letters())
    assert [text for text in shown if text in ("R", "P", "S(2)")] == ["R", "R", "R", "S(2)", "S(2)", "P", "R", "R"] * 2
    assert not [text for text in shown if "iB" in text or "backward" in text]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (("Qwen2.5-0.5B", 512, 4, "TP"), "num_heads = 14 cannot be split over tp = 4"),
        (("Llama-3.1-8B", 1, 2, "TP + SP"), "tokens = 1 cannot be split over tp = 2"),
        (("Llama-3.1-8B", 512, 7, "TP"), "num_heads = 32 cannot be split over tp = 7"),
    ],
)
def test_a_refusal_is_drawn_and_said(setting: tuple, reason: str) -> None:
    model, tokens, tp, way = setting
    figure = Figure()
    words = paint_block(figure, model=model, tokens=tokens, tp=tp, way=way)
    assert "refused" in words and reason in words
    assert any("refused ✗" in text and reason in text for text in texts(figure))


def test_every_setting_of_the_controls_draws() -> None:
    widget, figure = block_arrows.show(), Figure()
    _, tokens, tps, ways = (control.options for control in widget.children[0].children)
    for model in MODELS:
        for number, tp in enumerate(tps):
            paint_block(figure, model=model, tokens=tokens[number % len(tokens)], tp=tp, way=ways[number % 2])
            assert len(figure.axes[0].get_children()) < 90, "more artists than a quick redraw can bear"
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_moving_a_control_draws_again_and_nothing_old_stays() -> None:
    widget = block_arrows.show()
    before = widget.image.value
    widget.children[0].children[3].value = "TP + SP"
    assert widget.image.value != before and "own tokens" in widget.words.value
    widget.children[0].children[2].value = 7
    assert "refused" in widget.words.value
    figure = Figure()
    for tp in (7, 8):
        paint_block(figure, model="Llama-3.1-8B", tokens=512, tp=tp, way="TP")
    assert not any("refused" in text for text in texts(figure))
