"""DP, TP, PP and FSDP side by side: what each cuts, and what it leaves whole."""

import pytest

from tplearn.planning import MODELS, kv_cache_bytes, max_sequences, memory_plan, parameter_count, weight_bytes_per_rank
from tplearn.planning.plan import Plan

SHAPE = MODELS["Llama-3.1-8B"]
GPU = 24 * 10**9
WHOLE = weight_bytes_per_rank(SHAPE)


def plan(**layout: int | bool) -> Plan:
    return memory_plan(SHAPE, gpu_bytes=GPU, batch=8, sequence=1000, **layout)  # type: ignore[arg-type]


def test_dp_cuts_the_batch_alone() -> None:
    four = plan(dp=4)
    assert (four.gpus, four.weight_bytes, four.kv_cache_bytes) == (4, WHOLE, kv_cache_bytes(SHAPE, 1, 2, 1000))


def test_tp_agrees_with_memory() -> None:
    four = plan(tp=4)
    assert (four.weight_bytes, four.kv_cache_bytes) == (
        weight_bytes_per_rank(SHAPE, 4),
        kv_cache_bytes(SHAPE, 4, 8, 1000),
    )
    assert four.max_sequences == max_sequences(SHAPE, 4, 1000, GPU)


def test_pp_cuts_layers_but_not_tables() -> None:
    four = plan(pp=4)
    table = SHAPE.vocab_size * SHAPE.hidden_size * 2
    layers = WHOLE - 2 * table - SHAPE.hidden_size * 2
    assert four.weight_bytes == layers // 4 + table + SHAPE.hidden_size * 2
    assert four.kv_cache_bytes == kv_cache_bytes(SHAPE, 1, 8, 1000) // 4


def test_a_tied_table_is_stored_on_both_end_stages() -> None:
    tied = MODELS["Llama-3.2-1B"]
    stage = memory_plan(tied, pp=2, gpu_bytes=GPU)
    assert stage.weight_bytes * 2 > parameter_count(tied) * 2  # twice the fullest stage is more than the model


def test_fsdp_keeps_a_share_and_gathers_one_piece() -> None:
    four = plan(dp=4, fsdp=True)
    assert four.weight_bytes == WHOLE // 4
    assert (
        four.gathered_bytes == SHAPE.vocab_size * SHAPE.hidden_size * 2 * 3 // 4
    )  # the embedding is the largest piece
    assert four.kv_cache_bytes == plan(dp=4).kv_cache_bytes


def test_fits_and_max_sequences_agree() -> None:
    for layout in ({"tp": 2}, {"dp": 2}, {"pp": 2}, {"dp": 2, "fsdp": True}, {"tp": 2, "dp": 2, "pp": 2}):
        most = plan(**layout).max_sequences
        full = memory_plan(SHAPE, gpu_bytes=GPU, batch=most, sequence=1000, **layout)
        over = memory_plan(SHAPE, gpu_bytes=GPU, batch=most + 1, sequence=1000, **layout)
        assert full.fits and full.free_bytes >= 0 and not over.fits


def test_a_layout_that_does_not_fit_says_so() -> None:
    small = memory_plan(SHAPE, gpu_bytes=10**9)
    assert not small.fits and small.max_sequences == 0


def test_bad_layouts_are_named() -> None:
    with pytest.raises(ValueError, match=r"pp = 3 stages; sizes that work: 1, 2, 4, 8, 16, 32"):
        plan(pp=3)
    with pytest.raises(ValueError, match="dp = 0"):
        plan(dp=0)
    with pytest.raises(ValueError, match="tp = 3"):
        plan(tp=3)
