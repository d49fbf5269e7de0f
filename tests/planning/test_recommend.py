"""recommend_parallelism: the smallest TP that fits, never more GPUs than there are, and a refusal that helps."""

import pytest

from tests.planning.published import gpt
from tplearn.planning import ACCELERATORS, MODELS, recommend_parallelism, stage_layers, tp_sizes, weight_bytes_per_rank

H100 = ACCELERATORS["H100"]
LLAMA_70B = MODELS["Llama-3.1-70B"]  # 140 GB in bf16


@pytest.mark.parametrize(
    ("gpus", "tp", "pp", "dp", "idle"),
    [(4, 4, 1, 1, 0), (8, 4, 1, 2, 0), (12, 4, 1, 3, 0), (7, 4, 1, 1, 3), (64, 4, 1, 16, 0)],
    ids=["4", "140 GB on 8: TP 4, DP 2", "12: no more than there are", "7: no TP 7", "64"],
)
def test_140_gb(gpus: int, tp: int, pp: int, dp: int, idle: int) -> None:
    found = recommend_parallelism(LLAMA_70B, gpus, H100)
    assert (found.tp, found.pp, found.dp, found.idle) == (tp, pp, dp, idle)
    assert found.tp * found.pp * found.dp + found.idle == gpus


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("gpus", [1, 2, 3, 7, 8, 24, 100])
@pytest.mark.parametrize("card", ["A100-40GB", "H100", "B200"])
def test_it_fits_is_smallest_and_uses_no_more_than_there_are(name: str, gpus: int, card: str) -> None:
    shape, accelerator = MODELS[name], ACCELERATORS[card]
    room = 0.6 * accelerator.memory
    smaller = [tp for tp in tp_sizes(shape) if tp <= min(gpus, 8) and weight_bytes_per_rank(shape, tp) <= room]
    try:
        found = recommend_parallelism(shape, gpus, accelerator)
    except ValueError:
        assert not smaller
        return
    assert found.tp in tp_sizes(shape) and found.tp <= 8
    assert found.tp * found.pp * found.dp + found.idle == gpus and found.idle < found.tp * found.pp
    assert found.weight_bytes <= room
    if found.pp == 1:
        assert found.tp == smaller[0] and found.weight_bytes == weight_bytes_per_rank(shape, found.tp)
    else:
        assert not smaller


def test_a_model_beyond_one_node_gets_stages() -> None:
    shape = MODELS["Llama-3.1-405B"]
    found = recommend_parallelism(shape, 32, ACCELERATORS["A100"])
    assert (found.tp, found.pp, found.dp, found.idle) == (8, 3, 1, 8)
    assert max(stage_layers(126, 3)) == 42 and found.weight_bytes < 0.6 * 80e9
    assert found.reasons == (
        "TP 8: each of its ranks holds 34.0 GB of weights, within 60% of 80 GB.",
        "PP 3: TP 8 alone would hold 101.5 GB.",
        "8 of 32 stay idle: a copy takes 24.",
    )
    assert recommend_parallelism(shape, 18, H100).pp == 9  # no 24 are there: TP 2, PP 9


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    """The guide's (2000, 8, 80) answers TP 8, PP 1: 640 GB for 2,000."""
    big = gpt(25600, 128, 160, name="GPT-1T")
    with pytest.raises(
        ValueError,
        match=r"GPT-1T has 2016 GB of weights, and 8 H100 have 384 GB for them at fill = 0.6; "
        r"what works: 44 of them \(TP 4, PP 11\)",
    ):
        recommend_parallelism(big, 8, H100)
    found = recommend_parallelism(big, 44, H100)
    assert (found.tp, found.pp, found.dp) == (4, 11, 1)
    with pytest.raises(ValueError, match="8 B200"):
        recommend_parallelism(MODELS["Llama-3.1-405B"], 8, H100)
    with pytest.raises(ValueError, match="accelerators = 1: Llama-3.1-70B has 141 GB"):
        recommend_parallelism(LLAMA_70B, 1, H100)


def test_fewer_bytes_and_more_room() -> None:
    assert recommend_parallelism(LLAMA_70B, 8, H100, bytes_per_parameter=0.5).tp == 1
    assert recommend_parallelism(LLAMA_70B, 8, H100, fill=0.9).tp == 2
    with pytest.raises(ValueError, match="fill = 0"):
        recommend_parallelism(LLAMA_70B, 8, H100, fill=0)
    with pytest.raises(ValueError, match="accelerators = 0 is not a number of accelerators"):
        recommend_parallelism(LLAMA_70B, 0, H100)
