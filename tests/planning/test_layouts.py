"""Layouts: what is tried, what is refused and why, and where the paper's own choice comes out."""

import pytest

from tplearn.planning import (
    ACCELERATORS,
    MODELS,
    Accelerator,
    Layout,
    StepTime,
    TrainingJob,
    all_layouts,
    step_time,
    tp_sizes,
    training_memory,
)

H100 = ACCELERATORS["H100"]
SMALL = TrainingJob(MODELS["Llama-3.1-8B"], 8192, 64)


def test_published_layout_of_llama3_is_among_the_best_five() -> None:
    """arXiv:2407.21783, Table 4: TP 8, CP 1, PP 16, DP 128 for 16.78 M tokens on 16,384 H100."""
    job = TrainingJob(MODELS["Llama-3.1-405B"], 8192, 2048)
    found = all_layouts(job, 16384, H100)
    cuts = [(one.layout.tp, one.layout.cp, one.layout.pp, one.layout.dp) for one in found.ranked]
    assert (8, 1, 16, 128) in cuts[:5]
    assert cuts.index((8, 1, 16, 128)) == 1  # the first cuts the sequence in two besides, as NVIDIA's recipe does
    assert (cuts[0], found.note) == ((8, 2, 16, 64), "")
    best, paper = found.ranked[0].time.total, found.ranked[1].time.total
    assert 1 < paper / best < 1.05


def test_16384_accelerators_need_fewer_than_a_thousand_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs some 0.1 ms, so the search answers before a reader notices."""
    counted: list[Layout] = []

    def counting(job: TrainingJob, layout: Layout, accelerator: Accelerator) -> StepTime:
        counted.append(layout)
        return step_time(job, layout, accelerator)

    monkeypatch.setattr("tplearn.planning.layouts.step_time", counting)
    all_layouts(TrainingJob(MODELS["Llama-3.1-405B"], 8192, 2048), 16384, H100)
    assert 100 < len(counted) < 1000 and len(set(counted)) == len(counted)


@pytest.mark.parametrize("accelerators", [1, 8, 12, 64])
@pytest.mark.parametrize("rank_by", ["time", "cost"])
def test_what_is_ranked_fits_and_is_in_order(accelerators: int, rank_by: str) -> None:
    found = all_layouts(SMALL, accelerators, H100, rank_by)
    for one in found.ranked:
        assert one.layout.accelerators + one.idle == accelerators and one.idle >= 0
        assert training_memory(SMALL, one.layout) == one.memory and one.memory.total <= H100.memory
        assert step_time(SMALL, one.layout, H100) == one.time
    prices = [one.time.total if rank_by == "time" else one.time.accelerator_seconds_per_token for one in found.ranked]
    assert prices == sorted(prices)


def every_layout(accelerators: int) -> list[Layout]:
    """All of them, by brute force, without any of the search's short cuts."""
    found = []
    for tp in tp_sizes(SMALL.shape):
        for cp in (1, 2):
            for pp in range(1, 33):
                for dp in (1, 2, 4, 8, 16, 32, 64):
                    if tp * cp * pp * dp != accelerators:
                        continue
                    for zero in (0, 1, 2, 3):
                        for m in (1, 2, 4, 8, 16, 32, 64):
                            for recompute in ("none", "selective", "full"):
                                for v in (1, 2, -(-32 // pp)):
                                    found.append(Layout(tp, cp, pp, dp, zero, m, recompute, v))
    return found


def test_no_short_cut_misses_a_faster_layout() -> None:
    best = all_layouts(SMALL, 8, H100).ranked[0].time.total
    fitting = []
    for layout in every_layout(8):
        try:
            if training_memory(SMALL, layout).total <= H100.memory:
                fitting.append(step_time(SMALL, layout, H100).total)
        except ValueError:
            continue  # it does not cut the job
    assert len(fitting) > 100
    assert best == pytest.approx(min(fitting), rel=1e-9)


def test_one_gpu_is_told_where_its_memory_goes() -> None:
    found = all_layouts(SMALL, 1, H100)
    assert found.ranked == () and len(found.refused) == 1
    reason = found.refused[0].reason
    assert reason.startswith(
        "Recomputed in full, stage 0 needs 154 GB of 80: weights 16.1, gradients 32.1, optimizer 96.4"
    )


def test_seven_gpus_use_fewer_or_say_which() -> None:
    job = TrainingJob(MODELS["Llama-3.1-8B"], 8192, 64)
    seven = all_layouts(job, 7, H100)
    assert any("tp = 7 does not cut 32 heads, 8 KV heads and 14336 columns" in one.reason for one in seven.refused)
    assert {one.idle for one in seven.ranked} >= {1, 3}
    prime = all_layouts(TrainingJob(MODELS["Llama-3.2-1B"], 8192, 64), 37, H100)
    assert prime.note == "No layout uses all 37 accelerators; the largest uses 36."
    # 16 layers: 37 stages are not even tried, for those of cp = 2, 37 // 2, say it already.
    assert {(one.kind, one.tp, one.cp, one.pp) for one in prime.refused} == {("tp", 37, 1, 1), ("pp", 1, 2, 18)}


def test_a_sequence_that_cp_does_not_cut_is_told() -> None:
    odd = all_layouts(TrainingJob(MODELS["Llama-3.2-1B"], 16386, 8), 8, H100)
    assert any("cp = 4 does not cut a sequence of 16386 tokens" in one.reason for one in odd.refused)


def test_cost_prefers_fewer_accelerators_that_wait_less() -> None:
    fast, cheap = (all_layouts(SMALL, 64, H100, rank_by).ranked[0] for rank_by in ("time", "cost"))
    assert fast.idle == 0 and fast.time.total < cheap.time.total
    assert cheap.time.accelerator_seconds_per_token < fast.time.accelerator_seconds_per_token
    assert cheap.layout.accelerators < 64


def test_tp_beyond_the_node_is_ranked_and_pays() -> None:
    ranked = {one.layout.tp: one for one in all_layouts(SMALL, 16, H100).ranked if one.layout.pp * one.layout.cp == 1}
    assert ranked[16].time.tensor_parallel > 2 * ranked[8].time.tensor_parallel
    assert ranked[16].time.total > ranked[8].time.total


def test_bad_questions() -> None:
    with pytest.raises(ValueError, match="rank_by = 'speed' is not known; words that work: time, cost"):
        all_layouts(SMALL, 8, H100, "speed")
    with pytest.raises(ValueError, match="accelerators = 0"):
        all_layouts(SMALL, 0, H100)
