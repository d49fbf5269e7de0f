"""Training memory: bytes a parameter by ZeRO stage, activations by schedule, and the fullest stage."""

import pytest
import torch
from torch import nn

from tests.planning.published import gpt, korthikanti
from tplearn.planning import (
    MODELS,
    Layout,
    TrainingJob,
    activation_bytes,
    parameter_count,
    stage_layers,
    training_memory,
)
from tplearn.planning.training_memory import layers_in_flight, stage_parameters

SHAPE = MODELS["Llama-3.1-8B"]
JOB = TrainingJob(SHAPE, 8192, 64)
COUNT = parameter_count(SHAPE)


def states(dp: int, zero: int, gradient_bytes: int = 4) -> float:
    job = TrainingJob(SHAPE, 8192, 64, gradient_bytes=gradient_bytes)
    memory = training_memory(job, Layout(dp=dp, zero=zero, micro_batches=64 // dp))
    return (memory.weights + memory.gradients + memory.optimizer) / COUNT


@pytest.mark.parametrize(
    ("zero", "gradient_bytes", "published"),
    [(0, 4, lambda d: 18), (1, 4, lambda d: 6 + 12 / d), (0, 2, lambda d: 16), (1, 2, lambda d: 4 + 12 / d)]
    + [(2, 2, lambda d: 2 + 14 / d), (3, 2, lambda d: 16 / d)],
    ids=["Megatron 18", "Megatron 6 + 12/d", "ZeRO 16", "ZeRO-1 4 + 12/d", "ZeRO-2 2 + 14/d", "ZeRO-3 16/d"],
)
@pytest.mark.parametrize("dp", [2, 8, 64])
def test_published_bytes_a_parameter(dp: int, zero: int, gradient_bytes: int, published: object) -> None:
    """Megatron-LM, docs of the distributed optimizer; Rajbhandari et al., arXiv:1910.02054, figure 1."""
    assert states(dp, zero, gradient_bytes) == pytest.approx(published(dp), rel=1e-12)


@pytest.mark.parametrize(
    ("zero", "gb"), [(0, 120), (1, 31.4), (2, 16.6), (3, 1.9)], ids=["ZeRO 120", "31.4", "16.6", "1.9 GB"]
)
def test_published_gigabytes_of_7_5_billion_on_64_gpus(zero: int, gb: float) -> None:
    """arXiv:1910.02054, figure 1: Ψ = 7.5 B, N_d = 64."""
    assert states(64, zero, 2) * 7.5 == pytest.approx(gb, abs=0.05)


def test_adam_really_keeps_what_is_counted() -> None:
    """float32 copy, gradient and two moments, made by torch itself: 4 + 4 + 4 + 4 of the 18 bytes."""
    copy = nn.Parameter(torch.randn(100))
    optimizer = torch.optim.AdamW([copy])
    copy.sum().backward()
    optimizer.step()
    moments = sum(state.nbytes for state in optimizer.state[copy].values() if state.ndim)
    assert (copy.nbytes + moments) / 100 == 12 and copy.grad.nbytes / 100 == 4


def test_stages_hold_all_layers_and_the_ends_fewer() -> None:
    assert stage_layers(126, 16) == (7, *[8] * 14, 7)  # arXiv:2407.21783, section 3.3.2
    assert stage_layers(32, 8) == (4,) * 8
    assert stage_layers(33, 4) == (8, 8, 9, 8)
    for layers in (1, 7, 32, 126):
        for pp in range(1, layers + 1):
            cut = stage_layers(layers, pp)
            assert sum(cut) == layers and len(cut) == pp and max(cut) - min(cut) <= 1 and cut[-1] == min(cut)
    with pytest.raises(ValueError, match="pp = 4 stages are more than num_hidden_layers = 3; sizes that work: 1 to 3"):
        stage_layers(3, 4)


@pytest.mark.parametrize("pp", [1, 2, 5, 32])
def test_stages_hold_all_parameters(pp: int) -> None:
    assert sum(stage_parameters(SHAPE, 1, pp, stage) for stage in range(pp)) == COUNT
    tied = MODELS["Llama-3.2-1B"]
    table = tied.vocab_size * tied.hidden_size if pp > 1 else 0
    if pp <= tied.num_hidden_layers:
        assert sum(stage_parameters(tied, 1, pp, stage) for stage in range(pp)) == parameter_count(tied) + table


def most_alive(pp: int, rank: int, m: int, v: int) -> int:
    """Pieces alive at the worst moment, by playing the schedule: warm-up, then one forward and one backward."""
    warm = 2 * (pp - rank - 1) + (v - 1) * pp if v > 1 else pp - rank - 1
    forward, alive, most = m * v, 0, 0
    order = ["f"] * min(warm, forward) + ["f", "b"] * max(0, forward - warm) + ["b"] * min(warm, forward)
    for step in order:
        alive += 1 if step == "f" else -1
        most = max(most, alive)
    assert alive == 0
    return most


@pytest.mark.parametrize("v", [1, 2, 4])
@pytest.mark.parametrize("pp", [2, 4, 8])
def test_layers_in_flight_are_those_of_the_schedule(pp: int, v: int) -> None:
    for m in (pp, 2 * pp, 8 * pp):
        for rank in range(pp):
            assert layers_in_flight(4, rank, pp, m, v) * v == pytest.approx(4 * most_alive(pp, rank, m, v))


def test_published_factor_of_interleaving() -> None:
    """arXiv:2205.05198, section 4.2.3: the first stage keeps sbh / t · L (1 + (p − 1) / pm) of a layer's."""
    for p, v in ((8, 3), (35, 3), (16, 8)):
        layers = v * 2
        assert layers_in_flight(layers, 0, p, 10 * p, v) == pytest.approx(layers * p * (1 + (p - 1) / (p * v)))


def test_activations_of_the_first_stage() -> None:
    job, layout = korthikanti("175B", "selective")
    memory = training_memory(job, layout)
    one = activation_bytes(gpt(12288, 96, 96), 2048, 2048, 8, recompute="selective", flash_attention=False)
    assert memory.stage == 0 and memory.activations == pytest.approx(one * 96 * (1 + 7 / 24))
    assert memory.total < 80e9


def test_published_runs_fit_into_80_gb_only_as_they_were_run() -> None:
    """Korthikanti, figure 1: at 80 GB none of the four fits without recomputing; with it they do."""
    for name in ("22B", "175B", "530B", "1T"):
        job, layout = korthikanti(name, "selective")
        assert training_memory(job, layout).total < 80e9
        plain = Layout(8, 1, layout.pp, 1, 0, layout.micro_batches, "none", layout.virtual_stages, False)
        assert training_memory(job, plain).total > 80e9


def test_logits_and_gathered_layers_are_counted() -> None:
    whole = training_memory(JOB, Layout(dp=8, zero=3, micro_batches=8))
    assert whole.logits == 6 * 8192 * SHAPE.vocab_size
    layer = (COUNT - 2 * SHAPE.vocab_size * 4096 - 4096) / 32
    assert whole.gathered == pytest.approx(layer * (2 * 2 + 4) * 7 / 8)
    assert training_memory(JOB, Layout(tp=8, dp=8, zero=3, micro_batches=8)).logits == whole.logits / 8


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"tp": 3}, "tp = 3"),
        ({"pp": 33}, "pp = 33 stages are more than num_hidden_layers = 32"),
        ({"cp": 3}, "sequence = 8192 cannot be cut into 2 · cp = 6 pieces.*cp that work: 1, 2, 4"),
        ({"dp": 3}, "batch = 64 cannot be split over dp = 3 copies; sizes that work: 1, 2, 4, 8, 16, 32, 64"),
        ({"dp": 2, "micro_batches": 5}, "micro_batches = 5 does not cut a copy's 32 sequences; sizes that work: 1, 2"),
        ({"pp": 4, "virtual_stages": 3, "micro_batches": 4}, "virtual_stages = 3 does not divide the 8 layers"),
        ({"pp": 4, "virtual_stages": 2, "micro_batches": 2}, "micro_batches = 2 is no multiple of pp = 4"),
        ({"zero": 4}, "zero = 4 is no stage of ZeRO; stages that work: 0, 1, 2, 3"),
        ({"recompute": "all"}, "recompute = 'all' is not known"),
        ({"tp": 0}, "tp = 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_layout_that_does_not_cut_the_job_is_told(layout: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        training_memory(JOB, Layout(**layout))


def test_a_job_that_is_none() -> None:
    with pytest.raises(ValueError, match="gradient_bytes = 3 does not work; 2"):
        TrainingJob(SHAPE, 8192, 64, gradient_bytes=3)
    with pytest.raises(ValueError, match="batch = 0"):
        TrainingJob(SHAPE, 8192, 0)
