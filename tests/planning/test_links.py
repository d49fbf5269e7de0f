"""α and bytes over bandwidth: against rings that count, published times, and lines whose α and β are known."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tplearn.planning import (
    ACCELERATORS,
    MODELS,
    Link,
    NodeLink,
    bytes_sent,
    collective_seconds,
    compute_bound_tp,
    fit_alpha_beta,
    forward_flops,
    link_of,
)
from tplearn.planning.training_memory import layer_parameters
from tplearn.simulated.ring import Ring, ring_all_gather, ring_all_reduce, ring_reduce_scatter

H100 = ACCELERATORS["H100"]
LINK = Link(1e-5, 1e9)


@pytest.mark.parametrize("p", [2, 3, 4, 8])
def test_bytes_are_those_of_a_ring_that_counts(p: int) -> None:
    n = 24 * p
    tensors = [torch.randn(n, dtype=torch.float64) for _ in range(p)]
    runs = {
        "all_reduce": lambda ring: ring_all_reduce(tensors, ring),
        "reduce_scatter": lambda ring: ring_reduce_scatter(tensors, ring),
        "all_gather": lambda ring: ring_all_gather([tensor[: n // p] for tensor in tensors], ring),
    }
    for op, run in runs.items():
        ring = Ring(p)
        run(ring)
        assert bytes_sent(op, tensors[0].nbytes, p) == ring.ledger.bytes("send", rank=0)


def test_one_rank_pays_nothing_and_two_links_differ() -> None:
    for op in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send"):
        assert collective_seconds(op, 1e6, 1, LINK) == 0
        assert collective_seconds(op, 1e6, 4, LINK) == 1e-5 + bytes_sent(op, 1e6, 4) / 1e9
    with pytest.raises(ValueError, match="op = 'allreduce' is not known; ops that work: all_reduce, all_gather"):
        collective_seconds("allreduce", 1e6, 4, LINK)


def test_published_all_gather_of_512_mib_on_8_h100_takes_1_04_ms() -> None:
    """jax-ml/scaling-book, gpus.md, Quiz 2, question 3: what the data sheet allows."""
    sheet = Link(0, H100.node_bandwidth)
    assert collective_seconds("all_gather", 512 * 2**20, 8, sheet) == pytest.approx(1.04e-3, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "measured"), [("A100", (230, 250)), ("H100", (360, 480))], ids=["A100 230-250", "H100 370, SHARP 480"]
)
def test_published_bus_bandwidth_inside_a_node(name: str, measured: tuple[int, int]) -> None:
    """2 (p − 1) / p · n over the time, GB/s, as nccl-tests has it. Megabytes of α vanish in 8 GB."""
    seconds = collective_seconds("all_reduce", 8e9, 8, link_of(ACCELERATORS[name], 8))
    assert measured[0] <= 2 * 7 / 8 * 8e9 / seconds / 1e9 <= measured[1]


@pytest.mark.parametrize(("across", "tp"), [(False, 13), (True, 11)], ids=["inside 28672 -> 13", "across 28672 -> 11"])
def test_published_limit_of_tensor_parallelism(across: bool, tp: int) -> None:
    """jax-ml/scaling-book, gpus.md: F / 2200 inside an H100 node, F / 2475 across."""
    assert int(compute_bound_tp(28672, replace(H100, peak_flops=990e12), across=across)) == tp


def test_tensor_parallelism_and_fsdp_send_as_much_at_20_000_tokens() -> None:
    """A layer of Llama-3.1-8B over 8 ranks in bf16: four all-reduces of activations, or its weights three times."""
    shape, tokens = MODELS["Llama-3.1-8B"], 20_000
    tp = 4 * bytes_sent("all_reduce", 2 * tokens * shape.hidden_size, 8)
    weights = 2 * layer_parameters(shape, 1)
    fsdp = 2 * bytes_sent("all_gather", weights, 8) + bytes_sent("reduce_scatter", weights, 8)
    assert fsdp == pytest.approx(1145e6, rel=1e-3) and tp == pytest.approx(fsdp, rel=0.01)


def test_the_limit_is_where_the_two_times_meet() -> None:
    shape, tokens, tp = MODELS["Llama-3.1-70B"], 8192, compute_bound_tp(28672, H100)
    two_of_three = 2 / 3 * forward_flops(shape, tokens, 1)["mlp"] / shape.num_hidden_layers
    sent = 2 * 2 * tokens * shape.hidden_size / H100.node_bandwidth  # (p − 1) / p is taken for 1
    assert two_of_three / tp / H100.peak_flops == pytest.approx(sent)


def test_a_group_finds_its_link() -> None:
    assert link_of(H100, 8) == Link(H100.node_alpha, H100.node_bandwidth * H100.link_fraction)
    assert link_of(H100, 2, 4) == link_of(H100, 8)
    across = Link(H100.network_alpha, H100.network_bandwidth * H100.link_fraction, H100.network_hop)
    assert link_of(H100, 64, 8) == link_of(H100, 2, 128) == across
    assert link_of(H100, 16, 2) == NodeLink(link_of(H100, 8), across, 4)
    with pytest.raises(ValueError, match="group_size = 0"):
        link_of(H100, 0)


def test_over_nodes_every_card_carries_its_share() -> None:
    """16 ranks on 2 nodes: each of 8 cards sends half of its eighth; NVLink sends 7/8 of everything."""
    two = NodeLink(Link(0, 450e9), Link(0, 50e9), 8)
    n = 1e9
    assert collective_seconds("all_gather", n, 16, two) == pytest.approx(max(7 / 8 * n / 450e9, n / 2 / 8 / 50e9))
    slow = NodeLink(Link(0, 450e9), Link(0, 5e9), 8)
    assert collective_seconds("all_reduce", n, 16, slow) == pytest.approx(2 * n / 2 / 8 / 5e9)
    assert collective_seconds("all_to_all", n, 16, slow) == pytest.approx(n * 8 / 16 / 5e9)
    assert collective_seconds("send", n, 16, slow) == pytest.approx(n / 5e9)


def test_steps_between_nodes_add_up() -> None:
    """A ring over 1,024 nodes has 1,023 steps; an all-reduce goes up and down a tree of ten floors."""
    link = Link(0, 1e30, hop=1e-6)
    assert collective_seconds("all_gather", 1, 1024, link) == pytest.approx(1023e-6)
    assert collective_seconds("all_reduce", 1, 1024, link) == pytest.approx(20e-6)
    assert collective_seconds("send", 1, 1024, link) == pytest.approx(1e-6)


SIZES = [2**k for k in range(10, 27)]


def test_a_fit_finds_the_line_that_made_the_times() -> None:
    for _ in range(20):
        alpha, beta = 10 ** random.uniform(-6, -3), 10 ** random.uniform(-11, -8)
        found = fit_alpha_beta(SIZES, [alpha + beta * n for n in SIZES])
        assert found == pytest.approx((alpha, beta), rel=1e-6)


def test_a_fit_of_noisy_times_predicts_sizes_that_it_has_not_seen() -> None:
    """5 % noise. A plain least-squares line is ruled by 64 MB, and misses the small sizes by far."""
    generator = np.random.default_rng()
    alpha, beta, sizes = 3e-4, 8e-10, np.array(SIZES)
    held, truth = sizes[1::2], alpha + beta * sizes[1::2]
    errors, plain_errors = [], []
    for _ in range(50):
        times = (alpha + beta * sizes) * generator.normal(1, 0.05, len(sizes))
        a, b = fit_alpha_beta(sizes[::2], times[::2])
        slope, constant = np.polyfit(sizes[::2], times[::2], 1)
        errors.append(np.max(np.abs(a + b * held - truth) / truth))
        plain_errors.append(np.max(np.abs(constant + slope * held - truth) / truth))
    assert np.median(errors) < 0.1
    assert np.median(plain_errors) > 4 * np.median(errors)


@pytest.mark.parametrize(
    ("sizes", "times", "said"),
    [
        ([1, 2], [1.0], "2 sizes and 1 times"),
        ([4, 4], [1.0, 2.0], "of at least 2 different sizes, work"),
        ([1, 2], [0.0, 1.0], "seconds = 0.0 must be above 0"),
        ([0, 2], [1.0, 1.0], "nbytes = 0.0 must be above 0"),
    ],
)
def test_a_fit_says_what_it_cannot_use(sizes: list[int], times: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_alpha_beta(sizes, times)
