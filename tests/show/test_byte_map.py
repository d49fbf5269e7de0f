"""The byte map: what it says a rank reads is what from_pretrained reads, and refusals are drawn."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.loading import load
from tplearn.llama.tensors import sources
from tplearn.planning import MODELS
from tplearn.planning.models import ModelShape
from tplearn.show.figures.ch12 import draw_byte_map
from tplearn.show.figures.ch12_layer import bytes_read, paint_layer_map
from tplearn.show.widgets import byte_map

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 37}
HEADS = {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 6}


def read_by_the_shelf(folder: Path) -> int:
    config, checkpoint = LlamaConfig.from_folder(folder), Checkpoint(folder)
    with torch.device("meta"):
        model = Llama(config)
    load(model, sources(config, checkpoint), checkpoint, torch.float32, torch.device("cpu"))
    return checkpoint.bytes_read


def save(folder: Path, tied: bool, biases: bool) -> None:
    config = LlamaConfig(**SIZES, **HEADS, tie_word_embeddings=tied, qkv_bias=biases)
    Llama(config).to(torch.bfloat16).save_pretrained(folder)


@pytest.mark.parametrize(("tied", "biases"), [(True, True), (False, False)])
def test_the_bytes_are_those_that_loading_reads(tmp_path: Path, tied: bool, biases: bool) -> None:
    run_ranks(save, 1, tmp_path, tied, biases)
    shape = ModelShape(**SIZES, **HEADS, tie_word_embeddings=tied, qkv_bias=biases)
    for tp in (1, 4):
        assert run_ranks(read_by_the_shelf, tp, tmp_path).values == [bytes_read(shape, tp, rank) for rank in range(tp)]


def test_the_words_name_rows_columns_and_copies() -> None:
    words = paint_layer_map(Figure(), model="Llama-3.1-8B", tp=16, rank=3)
    assert "q_proj rows 768 to 1023" in words and "o_proj columns 768 to 1023" in words
    assert "k_proj rows 128 to 255" in words and "each KV head is read 2 times" in words


@pytest.mark.parametrize(("tp", "rank"), [(3, 0), (4, 4)])
def test_a_refusal_has_a_picture(tp: int, rank: int) -> None:
    figure = Figure()
    assert "refused" in paint_layer_map(figure, model="Llama-3.1-8B", tp=tp, rank=rank)
    assert any("refused ✗" in text.get_text() for text in figure.axes[0].texts)


def test_every_setting_draws_with_few_artists() -> None:
    figure, (_, tp, rank) = Figure(), byte_map.show().children[0].children
    for model in MODELS:
        for size in tp.options:
            assert paint_layer_map(figure, model=model, tp=size, rank=rank.options[0]).startswith(model)
            assert len(figure.axes[0].get_children()) < 80


def test_moving_a_slider_draws_again() -> None:
    widget = byte_map.show()
    before = widget.image.value
    widget.children[0].children[2].value = 3
    assert widget.image.value != before and "rank 3 reads 4.02 GB of 16.1 GB" in widget.words.value


def test_the_opening_picture_does_not_say_what_eight_ranks_read() -> None:
    words = [text.get_text() for text in draw_byte_map().axes[0].texts]
    assert [word for word in words if word.startswith("rank ")] == [f"rank {rank}" for rank in range(4)]
    assert not [word for word in words if "twice" in word or "8" in word]
