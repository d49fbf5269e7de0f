"""FLOPs: against torch's own counter, GPT's published formulas, and the utilisations that papers print."""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.planning.published import DAYS, KORTHIKANTI, LLAMA3, SC21, gpt
from tplearn.llama import Llama, LlamaConfig
from tplearn.planning import MODELS, forward_flops, mfu, parameter_count, training_flops
from tplearn.planning.gpt_formulas import (
    gpt_flops_with_recomputation,
    gpt_model_flops,
    gpt_parameters,
    training_days,
)


def test_torch_counts_the_same() -> None:
    """Its counter over the course's own Llama, forward and backward. It takes attention for a whole square."""
    heads, kv_heads = random.choice([(4, 2), (6, 3), (8, 8)])
    config = LlamaConfig(8 * heads, 56, 3, heads, kv_heads, vocab_size=40, max_position_embeddings=64)
    model, tokens = Llama(config), torch.randint(40, (2, 33))
    with FlopCounterMode(display=False) as counter:
        loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    parts = forward_flops(config, 2 * 32, 32)
    counted = counter.get_flop_counts()["Global"]
    scores = sum(count for op, count in counted.items() if "attention" in str(op) or "bmm" in str(op))
    matmuls = sum(counted.values()) - scores
    assert matmuls == parts["projections"] + parts["mlp"] + parts["head"]
    assert scores in (0, parts["scores"])  # torch's counter does not know the fused kernel of every CPU
    with FlopCounterMode(display=False) as counter:
        loss.backward()
    backward = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    assert sum(count for op, count in backward.items() if op == "aten.mm") == 2 * matmuls


def test_recomputing_runs_layers_again_and_the_head_not() -> None:
    shape = MODELS["Llama-3.1-8B"]
    parts = forward_flops(shape, 1000, 8192)
    assert training_flops(shape, 1000, 8192) == 3 * sum(parts.values())
    assert training_flops(shape, 1000, 8192, "full") == 4 * sum(parts.values()) - parts["head"]
    assert training_flops(shape, 1000, 8192, "selective") == 3 * sum(parts.values()) + parts["scores"]
    causal = forward_flops(shape, 1000, 8192, causal=True)
    assert causal == parts | {"scores": parts["scores"] / 2}
    with pytest.raises(ValueError, match="recompute = 'some' is not known; ways that work: none, selective, full"):
        training_flops(shape, 1000, 8192, "some")


def test_a_parameter_is_six_flops_a_token() -> None:
    """The rule of thumb 6ND: with a short sequence, and without the embedding, which multiplies nothing."""
    for shape in MODELS.values():
        if not shape.tie_word_embeddings:
            multiplied = parameter_count(shape) - shape.vocab_size * shape.hidden_size
            assert training_flops(shape, 1, 1) == pytest.approx(6 * multiplied, rel=2e-3)


@pytest.mark.parametrize("billions", SC21, ids=lambda billions: f"SC21 Table 1, {billions}B")
def test_published_parameter_counts(billions: float) -> None:
    heads, h, layers, *_ = SC21[billions]
    tolerance = 1e-3 if billions >= 39.1 else 3e-2  # the table rounds to one digit behind the point
    assert gpt_parameters(h, layers, 51200, 2048) == pytest.approx(billions * 1e9, rel=tolerance)
    # the shape leaves out biases, the norms' own and 2,048 positions: 13h a layer less 2h, and sh
    assert parameter_count(gpt(h, layers, heads)) == pytest.approx(gpt_parameters(h, layers, 51200, 2048), rel=4e-3)


@pytest.mark.parametrize("billions", SC21, ids=lambda billions: f"SC21 eq. 3 and 72BLsh2, {billions}B")
def test_published_formulas_are_the_sum_of_the_parts(billions: float) -> None:
    heads, h, layers, _, _, _, batch, *_ = SC21[billions]
    shape, tokens = gpt(h, layers, heads), batch * 2048
    assert training_flops(shape, tokens, 2048, "full") == pytest.approx(
        gpt_flops_with_recomputation(h, layers, 51200, 2048, batch), rel=1e-12
    )
    assert training_flops(shape, tokens, 2048) == pytest.approx(
        gpt_model_flops(h, layers, 51200, 2048, batch), rel=1e-12
    )


@pytest.mark.parametrize("name", DAYS, ids=lambda name: f"SC21 days, {name}")
def test_published_days_of_training(name: str) -> None:
    billions, tokens, gpus, tflops, days = DAYS[name]
    # Days and TFLOP/s are whole: 44 may be 43.5 as well, and half a day of 23 is 2 %.
    found = training_days(billions * 1e9, tokens * 1e9, gpus, tflops * 1e12)
    assert found == pytest.approx(days, rel=5e-3 if name in ("GPT-3", "1T") else 3.1e-2)


@pytest.mark.parametrize("name", KORTHIKANTI, ids=lambda name: f"Korthikanti Table 5, {name}")
def test_published_utilisation_of_gpt(name: str) -> None:
    h, layers, heads, _, _, gpus, batch, _, _, seconds, _, percent = KORTHIKANTI[name]
    found = 100 * mfu(gpt(h, layers, heads), batch * 2048 / seconds, 2048, gpus, 312e12)
    assert found == pytest.approx(percent, abs=0.3)


@pytest.mark.parametrize("name", LLAMA3, ids=lambda name: f"Llama 3 Table 4, {name}")
def test_published_utilisation_of_llama3(name: str) -> None:
    gpus, tp, cp, pp, dp, sequence, tflops, percent = LLAMA3[name]
    assert gpus == tp * cp * pp * dp
    assert 100 * tflops / 989 == pytest.approx(percent, abs=0.7)


def test_a_rate_that_is_none() -> None:
    with pytest.raises(ValueError, match="tokens_per_second = 0 must be above 0"):
        mfu(MODELS["Llama-3.1-8B"], 0, 8192, 8, 1e15)
