"""Activations: the published table to the byte, and what autograd really keeps of the course's own block."""

import random

import pytest
import torch
from torch import Tensor

from tests.planning.published import gpt
from tplearn.llama import LlamaConfig, rope
from tplearn.llama.model import Block
from tplearn.planning import MODELS, activation_bytes, saved_tensors

MIB = 2**20
GPT3, MT_NLG = gpt(12288, 96, 96), gpt(20480, 105, 128)
OLD = {"flash_attention": False}


def layer(shape: object, t: int, sp: bool, recompute: str = "none") -> float:
    return activation_bytes(shape, 2048, 2048, t, sequence_parallel=sp, recompute=recompute, **OLD)


@pytest.mark.parametrize("t", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [GPT3, MT_NLG], ids=["Korthikanti Table 2, GPT-3", "Korthikanti Table 2, MT-NLG"])
def test_published_table_of_activations(shape: object, t: int) -> None:
    s, b, h, a = 2048, 1, shape.hidden_size, shape.num_attention_heads
    scores = 5 * a * s / h
    assert layer(shape, t, False) == pytest.approx(s * b * h * (10 + 24 / t + scores / t), rel=1e-12)
    assert layer(shape, t, True) == pytest.approx(s * b * h * (34 + scores) / t, rel=1e-12)
    assert layer(shape, t, False, "selective") == pytest.approx(s * b * h * (10 + 24 / t), rel=1e-12)
    assert layer(shape, t, True, "selective") == pytest.approx(s * b * h * 34 / t, rel=1e-12)
    assert layer(shape, t, False, "full") == 2 * s * b * h
    assert layer(shape, t, True, "full") == 2 * s * b * h / t


@pytest.mark.parametrize(
    ("t", "sp", "recompute", "mib"),
    [(1, False, "none", 2736), (8, False, "none", 552), (8, True, "none", 342), (8, True, "selective", 102)]
    + [(8, False, "full", 48)],
    ids=["none 2736", "TP 552", "TP + SP 342", "TP + SP + selective 102", "full 48"],
)
def test_published_megabytes_of_a_gpt3_layer(t: int, sp: bool, recompute: str, mib: int) -> None:
    assert layer(GPT3, t, sp, recompute) == mib * MIB


@pytest.mark.parametrize(
    ("shape", "scores", "saved"), [(GPT3, 80, 70), (MT_NLG, 64, 65)], ids=["GPT-3 80, 70 %", "MT-NLG 64, 65 %"]
)
def test_published_share_of_the_scores(shape: object, scores: int, saved: int) -> None:
    assert 5 * shape.num_attention_heads * 2048 / shape.hidden_size == scores
    assert 100 * (1 - layer(shape, 1, False, "selective") / layer(shape, 1, False)) == pytest.approx(saved, abs=0.5)


def test_published_fifth_that_remains() -> None:
    """Sequence parallelism and selective recomputation together leave "under 20 %" of tensor parallelism's need."""
    for shape in (gpt(6144, 48, 64), GPT3, MT_NLG, gpt(25600, 128, 160)):
        assert 0.16 <= layer(shape, 8, True, "selective") / layer(shape, 8, False) < 0.21


def kept_by_autograd(block: Block, config: LlamaConfig, batch: int, seq: int) -> int:
    """Numbers that autograd saves in the block's forward pass, each tensor once; parameters and RoPE's tables not."""
    x = torch.randn(batch, seq, config.hidden_size, dtype=torch.float64, requires_grad=True)
    cos, sin = rope.tables(rope.frequencies(config), 0, seq, x)
    others = {tensor.untyped_storage().data_ptr() for tensor in (*block.parameters(), cos, sin)}
    saved: dict[tuple[int, int, int], Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage().data_ptr()
        if storage not in others:
            saved[storage, tensor.storage_offset(), tensor.numel()] = tensor  # alive, so no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        block(x, cos, sin)
    return sum(tensor.numel() for tensor in saved.values())


def test_the_table_is_what_autograd_keeps() -> None:
    """Number for number. Two more than in the table exist where kernels are not fused, as in the course's block: each
    norm also keeps its normalised input and one factor a token, and SwiGLU keeps silu(gate)."""
    heads, kv_heads = random.choice([(4, 2), (6, 3), (8, 1)])
    batch, seq, columns = random.choice([1, 2, 3]), random.choice([16, 24]), random.choice([40, 72])
    config = LlamaConfig(8 * heads, columns, 1, heads, kv_heads, vocab_size=8)
    table = saved_tensors(config, seq)
    numbers = sum(size / 2 for name, size in table.items() if name != "softmax sums") + table["softmax sums"] / 4
    not_fused = 2 * (config.hidden_size + 1) + columns
    kept = kept_by_autograd(Block(config).double(), config, batch, seq)
    assert kept == batch * seq * (numbers + not_fused)


def test_a_llama_layer_in_its_formula() -> None:
    shape, t = MODELS["Llama-3.1-70B"], 8
    h, q, kv, f, a = 8192, 8192, 1024, 28672, 64
    assert activation_bytes(shape, 1000, 8192, t) == 1000 * (2 * (4 * h + 2 * q + 2 * kv + 3 * f) + 4 * a) / t
    cheap = 2 * (2 * h + f) / t
    assert activation_bytes(shape, 1, 8192, t) - activation_bytes(shape, 1, 8192, t, recompute="selective") == cheap


def test_norms_are_whole_without_sequence_parallelism_and_copied_heads_count() -> None:
    shape = MODELS["Llama-3.1-70B"]
    plain = saved_tensors(shape, 8192, 8, sequence_parallel=False)
    cut = saved_tensors(shape, 8192, 8)
    assert plain["mlp norm input"] == 8 * cut["mlp norm input"] == 2 * 8192
    assert plain["gate"] == cut["gate"]
    assert saved_tensors(shape, 8192, 16)["k"] == saved_tensors(shape, 8192, 8)["k"] == 2 * 128
    with pytest.raises(ValueError, match="tp = 3 .*sizes that work: 1, 2, 4"):
        saved_tensors(shape, 8192, 3)
    with pytest.raises(ValueError, match="tokens = 0"):
        activation_bytes(shape, 0, 8192)
