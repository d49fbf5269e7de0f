"""The memory planner agrees with the planning numbers, survives every setting, and redraws at once."""

import itertools

import pytest
from matplotlib.figure import Figure

from tplearn.planning import MODELS
from tplearn.show.figures.ch01 import draw_memory_bars, draw_one_gpu
from tplearn.show.widgets.memory_planner import BYTES, draw, memory_planner


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_bars_show_the_numbers_of_the_chapter() -> None:
    shown = texts(draw_memory_bars())
    assert {"weights 141", "19", "weights 71", "KV cache 89", "7", "66", "33"} <= set(shown)


def test_the_picture_before_the_prediction_asks_and_does_not_tell() -> None:
    asked, told = texts(draw_one_gpu()), texts(draw_memory_bars())
    assert {"weights 141", "19", "7"} <= set(asked) and asked.count("?") == 3
    answers = {"66", "33", "weights 71", "KV cache 89"}
    assert not answers & set(asked) and answers <= set(told)


def test_the_first_picture_in_words() -> None:
    words = memory_planner().words.value
    assert "DP needs 24.7 of 24 GB and does not fit. TP needs 12.6 of 24 GB and fits." in words


def test_an_impossible_cut_is_said() -> None:
    words = draw(Figure(), "Qwen2.5-0.5B", "bfloat16", 24, 4, 1, 512)
    assert "TP cannot be cut this way." in words and "PP needs" in words


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="model = 'GPT-5' is not known; models that work: Llama-3.2-1B"):
        memory_planner("GPT-5")


def test_every_setting_draws() -> None:
    figure = Figure()
    for model, numbers, gpus in itertools.product(MODELS, BYTES, (1, 4, 16)):
        assert draw(figure, model, numbers, 16, gpus, 256, 131072)
