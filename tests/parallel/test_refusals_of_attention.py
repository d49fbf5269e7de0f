"""What attention refuses: heads, positions, queries and keys that do not fit, and caches of something else."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.parallel.test_refusals import IDS, X, refusals, tables
from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.parallel import KVCache, ParallelAttention, attend, rotary_frequencies, rotary_tables
from tplearn.parallel.kv_cache import tokens_before

SHARED = "another layer has filled this KV cache, with 4 tokens; a KVCache for each layer works"


def of_heads_and_positions() -> list[str]:
    p = dist.get_world_size()
    cut, plain = ParallelAttention(8, 4, 2, sequence_parallel=True), ParallelAttention(8, 4, 2)
    return refusals(
        [
            lambda: ParallelAttention(18, 4, 2),
            lambda: ParallelAttention(10, 4, 2),
            lambda: ParallelAttention(12, 4, 2),
            lambda: ParallelAttention(8, 4, 2, 3),
            lambda: cut(X, *tables(4)),
            lambda: cut(X, *tables(4 * p + 1)),
            lambda: cut(X, *tables(4 * p, 4)),
            lambda: plain(X, tables(4)[0], tables(5)[1]),
            lambda: plain(X, *(t[None] for t in tables(4))),
            lambda: plain(X, tables(4)[0].long(), tables(4)[1]),
            lambda: plain(X, *(t.to("meta") for t in tables(4))),
            lambda: plain(X, tables(4), None),
            lambda: plain(X, *tables(4), [KVCache(4)]),
        ]
    )


def no_fit(tables: tuple, x: tuple) -> str:
    return (
        f"cos of shape {tables} and sin of shape {tables} do not fit x of shape {x}; {x[2:]} works: a row for each of "
        f"its {x[2]} positions, with sequence_parallel for those of the whole sequence"
    )


def test_heads_and_positions_that_do_not_fit() -> None:
    no_division = (
        "does not divide by num_heads = 4; with head_dim given it need not, and without it numbers of heads that work"
    )
    for said in run_ranks(of_heads_and_positions, 2, record=False).values:
        assert said == [
            f"hidden_size = 18 {no_division}: 1, 3, 9",
            f"hidden_size = 10 {no_division}: 1, 5",
            "head_dim = 3 cannot be turned in pairs; even sizes work",
            "head_dim = 3 cannot be turned in pairs; even sizes work",
            no_fit((4, 2), (2, 3, 8, 2)),  # of own tokens
            no_fit((9, 2), (2, 3, 8, 2)),  # of more
            no_fit((8, 4), (2, 3, 8, 2)),  # of another head_dim
            no_fit((4, 2), (2, 3, 4, 2)).replace("sin of shape (4", "sin of shape (5"),
            no_fit((1, 4, 2), (2, 3, 4, 2)),
            "cos of dtype torch.int64 has no fractions; torch.float32 works",
            "cos on meta, sin on meta and x on cpu; one device for all works",
            "cos = <tuple of 2, first <Tensor of shape (4, 2)>> is not a tensor; one tensor works, such as torch.stack "
            "of these",
            "cache = [<tplearn.parallel.kv_cache.KVCache object>] is not a KVCache; one KVCache for each layer works, "
            "and None",
        ]


def on_keys(q: Tensor, k: Tensor, before: int = 0) -> Tensor:
    return attend(q, k, k, before)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda q, k: on_keys(q[:, :, :2], k),  # `before` is forgotten: two new queries would see two keys of five
            "k holds 5 tokens, but before = 0 and 2 new ones make 2; before = 3 works",
        ),
        (
            lambda q, k: on_keys(q[:, :, :1], k),
            "k holds 5 tokens, but before = 0 and 1 new ones make 1; before = 4 works",
        ),
        (lambda q, k: on_keys(q, k, 2), "k holds 5 tokens, but before = 2 and 5 new ones make 7; before = 0 works"),
        (
            lambda q, k: on_keys(q, k[:, :, :3]),
            "k holds 3 tokens, but before = 0 and 5 new ones make 5; keys of at least 5 tokens work",
        ),
        (lambda q, k: on_keys(q, k, -1), "before = -1 is not a size; sizes that work: 0, 1, 2, ..."),
        (lambda q, k: on_keys(q, k, 0.0), "before = 0.0 is not a whole number; sizes that work: 0, 1, 2, ..."),
        (
            lambda q, k: on_keys(q[:1], k),
            "q of shape (1, 4, 5, 6), k of shape (2, 2, 5, 6) and v of shape (2, 2, 5, 6)",
        ),
        (lambda q, k: on_keys(q[:, :3], k), "q of shape (2, 3, 5, 6), k of shape (2, 2, 5, 6)"),
        (lambda q, k: on_keys(q[..., :4], k), "q of shape (2, 4, 5, 4), k of shape (2, 2, 5, 6)"),
        (lambda q, k: on_keys(q[0], k), "q of shape (4, 5, 6), k of shape (2, 2, 5, 6)"),
        (lambda q, k: on_keys(q, k[0]), "q of shape (2, 4, 5, 6), k of shape (2, 5, 6)"),
        (lambda q, k: on_keys(q, k[:, :0]), "q of shape (2, 4, 5, 6), k of shape (2, 0, 5, 6)"),
        (
            lambda q, k: attend(q, k, k[:, :, :4]),
            "q of shape (2, 4, 5, 6), k of shape (2, 2, 5, 6) and v of shape (2, 2, 4",
        ),
        (
            lambda q, k: on_keys(q.double(), k),
            "q, k and v of dtypes torch.float64, torch.float32 and torch.float32; one",
        ),
        (lambda q, k: on_keys(q.to("meta"), k), "q on meta, k on cpu and v on cpu; one device for all works"),
        (lambda q, k: on_keys(q.numpy(), k), "q = <ndarray of shape (2, 4, 5, 6)> is not a tensor"),
        (lambda q, k: attend(q, k, None), "v = None is not a tensor"),
    ],
)
def test_queries_and_keys_that_do_not_fit(call: Callable, says: str) -> None:
    with pytest.raises(ValueError) as error:
        call(torch.ones(2, 4, 5, 6), torch.ones(2, 2, 5, 6))
    assert str(error.value).startswith(says)


def kept(k: Tensor) -> KVCache:
    cache = KVCache(8)
    cache.append(k, k)
    return cache


@pytest.mark.parametrize(
    ("k", "says"),
    [
        (
            torch.ones(3, 2, 1, 4),
            "k is (3, 2, 1, 4) float32 on cpu, and the KV cache keeps (2, 2, 8, 4) float32 on cpu; only",
        ),
        (torch.ones(2, 1, 1, 4), "k is (2, 1, 1, 4) float32 on cpu, and the KV cache keeps (2, 2, 8, 4) float32"),
        (torch.ones(2, 2, 1, 6), "k is (2, 2, 1, 6) float32 on cpu, and the KV cache keeps (2, 2, 8, 4) float32"),
        (
            torch.ones(2, 2, 1, 4).double(),
            "k is (2, 2, 1, 4) float64 on cpu, and the KV cache keeps (2, 2, 8, 4) float32",
        ),
        (
            torch.ones(2, 2, 1, 4, device="meta"),
            "k is (2, 2, 1, 4) float32 on meta, and the KV cache keeps (2, 2, 8, 4)",
        ),
        (torch.ones(2, 2, 4), "k is (2, 2, 4) float32 on cpu and v (2, 2, 4) float32 on cpu; [batch, kv heads, new,"),
        (None, "k = None is not a tensor"),
        (
            torch.ones(2, 2, 6, 4),
            "9 tokens do not fit into a KV cache of 8, which holds 3 already; KVCache(9) works, or",
        ),
    ],
)
def test_keys_that_a_cache_does_not_take(k: Tensor, says: str) -> None:
    cache = kept(torch.ones(2, 2, 3, 4))
    with pytest.raises(ValueError) as error:
        cache.append(k, k)
    assert str(error.value).startswith(says)
    assert cache.length == 3  # nothing of it was written
    cache.append(torch.ones(2, 2, 5, 4), torch.ones(2, 2, 5, 4))


@pytest.mark.parametrize(
    "v", [torch.ones(2, 2, 2, 4), torch.ones(2, 2, 3, 4).double(), torch.ones(2, 2, 3, 4).to("meta")]
)
def test_values_that_are_not_of_these_keys(v: Tensor) -> None:
    with pytest.raises(ValueError, match=r"k is \(2, 2, 3, 4\) float32 on cpu and v "):
        KVCache(8).append(torch.ones(2, 2, 3, 4), v)


def test_one_cache_for_two_layers() -> None:
    """An own model, whose layers share a cache: refused in the first pass, not when it overflows."""
    first, second, cache = ParallelAttention(8, 4, 2), ParallelAttention(8, 4, 2), KVCache(99)
    first(X, *tables(4), cache)
    assert refusals([lambda: second(X, *tables(4), cache)]) == [SHARED]
    assert cache.length == 4
    first(X, *tables(4), cache)  # goes on where it was


@torch.inference_mode()
def test_copies_of_a_layer_and_its_cache_go_together() -> None:
    layer, cache = ParallelAttention(8, 4, 2), KVCache(99)
    layer(X, *tables(4), cache)
    pairs = [(layer, copy.deepcopy(cache)), (copy.deepcopy(layer), cache)]
    pairs.append(pickle.loads(pickle.dumps((layer, cache))))
    for own, of_it in pairs:
        before = of_it.length
        own(X, *tables(4), of_it)
        assert of_it.length == before + 4


def of_a_llama() -> list[str]:
    model = Llama(LlamaConfig(8, 8, 2, 4, 2, 13))
    used = [KVCache(9) for _ in model.layers]
    model(IDS, used)
    same = KVCache(99)
    return refusals(
        [
            lambda: model(IDS, [same] * 2),
            lambda: model(IDS, [KVCache(9)]),
            lambda: model(IDS, [KVCache(9) for _ in range(3)]),
            lambda: model(IDS, []),
            lambda: model(IDS, KVCache(9)),
            lambda: model(IDS, [KVCache(9), None]),
            lambda: model(IDS, [KVCache(9), used[1]]),
            lambda: model(IDS, used[::-1]),
            lambda: [model(IDS, used) for _ in range(2)],
            lambda: model(IDS[:1, :1], used),
            lambda: model(IDS[0]),
            lambda: model(IDS.tolist()),
            lambda: model(IDS.float()),
            lambda: model(IDS + 9),
        ]
    )


def test_caches_and_words_that_a_model_does_not_take() -> None:
    works = "[KVCache(max_length) for _ in model.layers] works"
    for said in run_ranks(of_a_llama, 2, record=False).values:
        assert said == [
            f"caches[1] is the same KVCache as caches[0]; {works}",
            f"1 KV caches for 2 layers; {works}",
            f"3 KV caches for 2 layers; {works}",
            f"0 KV caches for 2 layers; {works}",
            f"caches = <tplearn.parallel.kv_cache.KVCache object> is not a list of KV caches; {works}",
            f"caches = [<tplearn.parallel.kv_cache.KVCache object>, None] is not a list of KV caches; {works}",
            "caches[1] holds 4 tokens and caches[0] 0; caches that have seen the same tokens work",
            SHARED,
            "12 tokens do not fit into a KV cache of 9, which holds 8 already; KVCache(12) works, or where several "
            "layers share this one, a KVCache for each",
            "k is (1, 1, 1, 2) float32 on cpu, and the KV cache keeps (2, 1, 9, 2) float32 on cpu; only the number of "
            "tokens may differ, and other texts need a new KVCache",
            "input_ids of shape (4,); [batch, seq] works",
            "input_ids = [[0, 1, 2, ...], [4, 5, 6, ...]] is not a tensor; a torch.Tensor works",
            "ids of dtype torch.float32 are no words; torch.int64 works",
            "ids contain 16, which is not a word; words from 0 to 12 work",
        ]


def test_caches_for_a_model_without_layers() -> None:
    assert tokens_before([], 0) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rotary_frequencies(6, 0), "theta = 0 does not work; numbers above 0 do, such as 10000.0"),
        (lambda: rotary_frequencies(6, -1.0), "theta = -1.0 does not work"),
        (lambda: rotary_frequencies(6, float("nan")), "theta = nan does not work"),
        (lambda: rotary_frequencies(6, float("inf")), "theta = inf does not work"),
        (lambda: rotary_frequencies(6, "1e4"), "theta = '1e4' does not work"),
        (lambda: rotary_frequencies(6, torch.ones(2)), "theta = <Tensor of shape (2,)> does not work"),
        (
            lambda: rotary_frequencies(6, dtype=torch.bfloat16),
            "dtype = torch.bfloat16 does not work for positions; torch.float32 and torch.float64 do",
        ),
        (lambda: rotary_frequencies(6, dtype="float64"), "dtype = 'float64' does not work for positions"),
        (lambda: rotary_tables([0, 1], 4), "positions = [0, 1] is not a tensor; a torch.Tensor works"),
        (lambda: rotary_tables(3, 4), "positions = 3 is not a tensor"),
        (
            lambda: rotary_tables(IDS, 4),
            "positions are (2, 4) int64; a row of numbers works, as torch.arange(seq) gives",
        ),
        (lambda: rotary_tables(torch.tensor(3), 4), "positions are () int64; a row of numbers works"),
        (lambda: rotary_tables(torch.ones(3) > 0, 4), "positions are (3,) bool; a row of numbers works"),
        (
            lambda: rotary_tables(torch.arange(3), 4, frequencies=torch.ones(3)),
            "frequencies are (3,) float32; shape (2,) and torch.float32 work",
        ),
        (
            lambda: rotary_tables(torch.arange(3), 4, frequencies=torch.ones(2), dtype=torch.float64),
            "frequencies are (2,) float32; shape (2,) and torch.float64 work",
        ),
        (lambda: rotary_tables(torch.arange(3), 4, frequencies=[1.0, 0.1]), "frequencies = [1.0, 0.1] is not a tensor"),
    ],
)
def test_what_gives_no_positions(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(says)
