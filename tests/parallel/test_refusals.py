"""What the layers refuse, at construction and in forward, on one rank and on two: by name, with what would work."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import distribute_tensor

from tplearn import run_ranks
from tplearn.parallel import (
    Chunk,
    ColumnParallelLinear,
    KVCache,
    MergedColumnParallelLinear,
    ParallelAttention,
    ParallelDropout,
    ParallelLMHead,
    ParallelMLP,
    ParallelRMSNorm,
    Partition,
    Place,
    QKVParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    copy_to_group,
    gather_from_group,
    gather_sequence,
    head_range,
    reduce_from_group,
    reduce_scatter_sequence,
    rotary_frequencies,
    rotary_tables,
    scatter_to_group,
    vocab_parallel_cross_entropy,
    vocab_range,
)

X = torch.ones(2, 4, 8)
IDS = torch.arange(8).view(2, 4)


def refusal(call: Callable[[], object]) -> str:
    """What a ValueError says; another error goes through."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return "fine"


def refusals(calls: list[Callable[[], object]]) -> list[str]:
    return [refusal(call) for call in calls]


def tables(length: int, d: int = 2) -> tuple[Tensor, Tensor]:
    return rotary_tables(torch.arange(length), d)


# --- sizes and flags of every constructor ---------------------------------------------------------------------------

SIZES: dict[str, Callable[[object], object]] = {
    "ColumnParallelLinear in_features": lambda n: ColumnParallelLinear(n, 8),
    "ColumnParallelLinear out_features": lambda n: ColumnParallelLinear(8, n),
    "MergedColumnParallelLinear in_features": lambda n: MergedColumnParallelLinear(n, (8, 8)),
    "MergedColumnParallelLinear out_features[1]": lambda n: MergedColumnParallelLinear(8, (8, n)),
    "RowParallelLinear in_features": lambda n: RowParallelLinear(n, 8),
    "RowParallelLinear out_features": lambda n: RowParallelLinear(8, n),
    "QKVParallelLinear hidden_size": lambda n: QKVParallelLinear(n, 2, 4, 2),
    "QKVParallelLinear head_dim": lambda n: QKVParallelLinear(8, n, 4, 2),
    "QKVParallelLinear num_heads": lambda n: QKVParallelLinear(8, 2, n, 1),
    "QKVParallelLinear num_kv_heads": lambda n: QKVParallelLinear(8, 2, 4, n),
    "ParallelAttention hidden_size": lambda n: ParallelAttention(n, 2, 1),
    "ParallelAttention num_heads": lambda n: ParallelAttention(8, n, 1),
    "ParallelAttention num_kv_heads": lambda n: ParallelAttention(8, 4, n),
    "ParallelAttention head_dim": lambda n: ParallelAttention(8, 4, 2, n if n is not None else "None"),
    "ParallelMLP hidden_size": lambda n: ParallelMLP(n, 8),
    "ParallelMLP intermediate_size": lambda n: ParallelMLP(8, n),
    "ParallelRMSNorm hidden_size": lambda n: ParallelRMSNorm(n),
    "VocabParallelEmbedding num_embeddings": lambda n: VocabParallelEmbedding(n, 8),
    "VocabParallelEmbedding embedding_dim": lambda n: VocabParallelEmbedding(8, n),
    "ParallelLMHead num_embeddings": lambda n: ParallelLMHead(n, 8),
    "ParallelLMHead embedding_dim": lambda n: ParallelLMHead(8, n),
    "KVCache max_length": KVCache,
    "head_range num_heads": lambda n: head_range(n, 1, 0, 1),
    "head_range num_kv_heads": lambda n: head_range(4, n, 0, 1),
    "head_range world_size": lambda n: head_range(4, 2, 0, n),
    "vocab_range vocab_size": lambda n: vocab_range(n, 0, 2),
    "vocab_range world_size": lambda n: vocab_range(8, 0, n),
    "rotary_frequencies head_dim": rotary_frequencies,
    "rotary_tables head_dim": lambda n: rotary_tables(torch.arange(3), n),
    "Place world_size": lambda n: Place(0, n),
}
NO_SIZES = (0, -1, 8.0, float("nan"), "8", None, True, [8], torch.ones(2))


@pytest.mark.parametrize("tp", [1, 2])
def test_what_is_no_size(tp: int) -> None:
    calls = [lambda make=make, n=n: make(n) for make in SIZES.values() for n in NO_SIZES]
    for said in run_ranks(refusals, tp, calls, record=False).values:
        answers = iter(said)
        for name in SIZES:
            for n in NO_SIZES:
                thing = name.split()[1]
                assert next(answers).startswith(f"{thing} = ") or thing in ("world_size",), (name, n)
        assert "fine" not in said


def test_numpys_sizes_work() -> None:
    for make in SIZES.values():
        make(np.int64(4))


FLAGS: list[tuple[str, Callable[[object], object]]] = [
    ("bias", lambda flag: ColumnParallelLinear(8, 8, flag)),
    ("gather_output", lambda flag: ColumnParallelLinear(8, 8, True, flag)),
    ("sequence_parallel", lambda flag: ColumnParallelLinear(8, 8, sequence_parallel=flag)),
    ("bias", lambda flag: MergedColumnParallelLinear(8, (8, 8), flag)),
    ("bias", lambda flag: RowParallelLinear(8, 8, flag)),
    ("input_is_parallel", lambda flag: RowParallelLinear(8, 8, True, flag)),
    ("bias", lambda flag: QKVParallelLinear(8, 2, 4, 2, flag)),
    ("bias", lambda flag: ParallelAttention(8, 4, 2, None, flag)),
    ("sequence_parallel", lambda flag: ParallelAttention(8, 4, 2, sequence_parallel=flag)),
    ("sequence_parallel", lambda flag: ParallelMLP(8, 8, sequence_parallel=flag)),
    ("sequence_parallel", lambda flag: ParallelRMSNorm(8, sequence_parallel=flag)),
    ("sequence_parallel", lambda flag: VocabParallelEmbedding(8, 8, sequence_parallel=flag)),
    ("bias", lambda flag: ParallelLMHead(8, 8, flag)),
]


def groups_in_the_place_of_flags() -> list[str]:
    """A group given by position, one place too early, would count as yes, and the default group be taken."""
    return [refusal(lambda make=make: make(dist.group.WORLD)) for _, make in FLAGS]


def test_flags_are_true_or_false() -> None:
    for name, make in FLAGS:
        for flag in (None, 0, 1, "no", [True], torch.tensor(True)):
            with pytest.raises(ValueError, match=f"{name} = .* is neither True nor False"):
                make(flag)
    for said in run_ranks(groups_in_the_place_of_flags, 2, record=False).values:
        assert all(text.startswith(f"{name} = <torch") for text, (name, _) in zip(said, FLAGS, strict=True)), said


# --- what is no tensor, or one of another kind -----------------------------------------------------------------------


def takers_of_activations() -> dict[str, Callable[[object], object]]:
    """Everything that takes [2, 4, 8]."""
    cache_of_nothing = KVCache(9)
    attention, cut = ParallelAttention(8, 4, 2), ParallelAttention(8, 4, 2, sequence_parallel=True)
    p = dist.get_world_size() if dist.is_initialized() else 1
    layers = [
        ColumnParallelLinear(8, 8),
        MergedColumnParallelLinear(8, (8, 8)),
        RowParallelLinear(8 * p, 8),
        RowParallelLinear(8, 8, input_is_parallel=False),
        QKVParallelLinear(8, 2, 4, 2),
        ParallelMLP(8, 8),
        ParallelRMSNorm(8),
        ParallelLMHead(13, 8),
        ColumnParallelLinear(8, 8, sequence_parallel=True),
        RowParallelLinear(8 * p, 8, sequence_parallel=True),
        ParallelMLP(8, 8, sequence_parallel=True),
        ParallelLMHead(13, 8, sequence_parallel=True),
    ]
    named = {f"{type(layer).__name__} {number}": layer for number, layer in enumerate(layers)}
    return named | {
        "ParallelAttention": lambda x: attention(x, *tables(4)),
        "ParallelAttention, cut": lambda x: cut(x, *tables(4 * p)),
        "ParallelAttention, cache": lambda x: attention(x, *tables(4), cache_of_nothing),
    }


NOT_ACTIVATIONS: dict[str, object] = {
    "an array": X.numpy(),
    "a list": X.tolist(),
    "tensors": [X],
    "None": None,
    "a number": 1.5,
    "text": "x",
    "another width": torch.ones(2, 4, 7),
    "no width": torch.ones(2, 4, 0),
    "a single number": torch.tensor(1.0),
    "whole numbers": X.long(),
    "a mask": X.bool(),
    "float64": X.double(),
    "float16": X.half(),
    "complex": X * 1j,
    "sparse": X.to_sparse(),
    "meta": X.to("meta"),
}


def activations() -> list[tuple[str, str, str]]:
    return [
        (layer, kind, refusal(lambda call=call, x=x: call(x)))
        for layer, call in takers_of_activations().items()
        for kind, x in NOT_ACTIVATIONS.items()
    ]


@pytest.mark.parametrize("tp", [1, 2])
def test_what_is_no_activation(tp: int) -> None:
    for told in run_ranks(activations, tp, record=False).values:
        assert [case for case in told if case[2] == "fine"] == []
        assert all("input" in words for _, _, words in told)


def flat_activations() -> list[str]:
    """[tokens, hidden] where dim 1 is taken for the sequence: a row-parallel layer would cut the hidden dimension."""
    on, flat = {"sequence_parallel": True}, torch.ones(4, 8)
    p = dist.get_world_size()
    calls = [
        lambda: ColumnParallelLinear(8, 8, **on)(flat),
        lambda: RowParallelLinear(8 * p, 8, bias=False, **on)(flat),
        lambda: ParallelMLP(8, 8, **on)(flat),
        lambda: ParallelLMHead(13, 8, **on)(flat),
        lambda: VocabParallelEmbedding(13, 8, **on)(IDS[0]),
        lambda: ParallelAttention(8, 4, 2)(flat, *tables(4)),
    ]
    return refusals(calls)


def test_without_a_batch_sequence_parallelism_has_no_sequence() -> None:
    for said in run_ranks(flat_activations, 2, record=False).values:
        assert said == [
            "ColumnParallelLinear: input of shape (4, 8); shapes that work: [batch, sequence/p, 8]",
            "RowParallelLinear: input of shape (4, 8); shapes that work: [batch, sequence/p, 8]",
            "MergedColumnParallelLinear: input of shape (4, 8); shapes that work: [batch, sequence/p, 8]",
            "ParallelLMHead: input of shape (4, 8); shapes that work: [batch, sequence/p, 8]",
            "ids of shape (4,); with sequence_parallel [batch, sequence] works",
            "ParallelAttention: input of shape (4, 8); [batch, seq, hidden] works",
        ]


def empty_activations() -> list[tuple[int, ...]]:
    """A batch or a sequence of nothing goes through all layers."""
    shapes = []
    for x in (torch.ones(0, 4, 8), torch.ones(2, 0, 8)):
        x.requires_grad_()
        y = ParallelMLP(8, 8)(ParallelRMSNorm(8)(x))
        y = ParallelAttention(8, 4, 2)(y, *tables(x.shape[1]))
        y.sum().backward()
        shapes.append(tuple(y.shape))
        assert x.grad.shape == x.shape
    shapes.append(tuple(VocabParallelEmbedding(13, 8)(IDS[:, :0]).shape))
    return shapes


@pytest.mark.parametrize("tp", [1, 2])
def test_nothing_is_an_activation_too(tp: int) -> None:
    assert run_ranks(empty_activations, tp).values == [[(0, 4, 8), (2, 0, 8), (2, 0, 8)]] * tp


COLLECTIVES = (
    copy_to_group,
    reduce_from_group,
    gather_from_group,
    scatter_to_group,
    gather_sequence,
    reduce_scatter_sequence,
)


def of_collectives() -> list[str]:
    no_tensors = (X.numpy(), X.tolist(), [X, X], (t for t in X), None, 1.5, "x", X.to_sparse())
    calls = [lambda f=f, x=x: f(x) for f in COLLECTIVES for x in no_tensors]
    calls += [lambda f=f: f(X > 0) for f in (reduce_from_group, reduce_scatter_sequence)]
    calls += [lambda f=f: f(X.to(torch.uint16)) for f in (reduce_from_group, reduce_scatter_sequence)]
    calls += [lambda f=f, d=d: f(X, d) for f in COLLECTIVES[2:] for d in (3, -4, None, 1.0, "0", True, X)]
    calls += [lambda f=f: f(torch.tensor(1.0)) for f in COLLECTIVES[2:]]
    shared = distribute_tensor(X, dist.init_device_mesh("cpu", (dist.get_world_size(),)))
    calls += [lambda f=f: f(shared) for f in COLLECTIVES]
    return refusals(calls)


@pytest.mark.parametrize("tp", [1, 2])
def test_what_collectives_do_not_take(tp: int) -> None:
    for said in run_ranks(of_collectives, tp).values:
        assert "fine" not in said and len(said) == 6 * 8 + 4 + 4 * 7 + 4 + 6
        assert said[0] == "x = <ndarray of shape (2, 4, 8)> is not a tensor; torch.from_numpy(...) makes one"
        assert said[2].startswith(
            "x = <list of 2, first <Tensor of shape (2, 4, 8)>> is not a tensor; one tensor works"
        )
        assert said[-1] == "x is a DTensor; .to_local() gives what this rank has of it"
        assert "x of dtype torch.bool cannot be summed; torch.int64 works" in said


# --- groups ----------------------------------------------------------------------------------------------------------


def of_groups() -> list[list[str]]:
    mesh = dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
    takers = [
        lambda group: copy_to_group(X, group),
        lambda group: gather_from_group(X, 1, group),
        lambda group: ColumnParallelLinear(8, 8, group=group),
        lambda group: RowParallelLinear(8, 8, group=group),
        lambda group: ParallelMLP(8, 8, group),
        lambda group: ParallelAttention(8, 4, 2, group=group),
        lambda group: ParallelRMSNorm(8, group=group),
        lambda group: ParallelDropout(group=group),
        lambda group: VocabParallelEmbedding(13, 8, group=group),
        lambda group: ParallelLMHead(13, 8, group=group),
        lambda group: vocab_parallel_cross_entropy(torch.ones(2, 4), torch.ones(2).long(), group=group),
    ]
    groups = [mesh, mesh["tp"], [0, 1], range(2), "tp", 2, dist.new_group([1 - dist.get_rank()])]
    return [[refusal(lambda take=take, group=group: take(group)) for take in takers] for group in groups]


def test_what_is_no_group() -> None:
    for rank, told in enumerate(run_ranks(of_groups, 2, record=False).values):
        assert all(len(set(said)) == 1 for said in told)  # the same words everywhere
        ranks = "torch.distributed.new_group([0, 1]), called on every rank, makes one of these ranks"
        works = "what torch.distributed.new_group returns works, or None for all ranks"
        assert [said[0] for said in told] == [
            "group = <DeviceMesh of shape (1, 2)> is not a process group; mesh.get_group('dp') or mesh.get_group('tp') "
            "works",
            "group = <DeviceMesh of shape (2,)> is not a process group; mesh.get_group() works",
            f"group = [0, 1] is not a process group; {ranks}",
            f"group = range(0, 2) is not a process group; {ranks}",
            f"group = 'tp' is not a process group; {works}",
            f"group = 2 is not a process group; {works}",
            f"rank {rank} is not in the given group and cannot hold a shard of it; a group that contains this rank "
            "works",
        ]


def test_a_group_where_nothing_is_distributed() -> None:
    for group, says in (("tp", "is not a process group; what"), ([0], "is not a process group; torch.distributed.new")):
        with pytest.raises(ValueError, match=says):
            ColumnParallelLinear(8, 8, group=group)


# --- words, losses, norms, dropout, partitions -----------------------------------------------------------------------


def of_words() -> list[str]:
    embedding = VocabParallelEmbedding(13, 8)
    kinds = (IDS.float(), IDS.bool(), IDS.short(), IDS.to(torch.uint8), IDS * 1j, IDS.numpy(), IDS.tolist(), None, 3)
    calls = [lambda ids=ids: embedding(ids) for ids in (*kinds, IDS - 1, IDS + 13, IDS.to("meta"), IDS.to_sparse())]
    head = ParallelLMHead(13, 8)
    others = (nn.Embedding(13, 8), embedding.weight, None, VocabParallelEmbedding(12, 8), VocabParallelEmbedding(13, 4))
    calls += [lambda other=other: head.tie(other) for other in others]
    return refusals(calls)


def test_what_is_no_word() -> None:
    for said in run_ranks(of_words, 2, record=False).values:
        assert said[:5] == [
            f"ids of dtype torch.{kind} are no words; torch.int64 works"
            for kind in ("float32", "bool", "int16", "uint8", "complex64")
        ]
        assert all(words.startswith("ids") for words in said[5:13]) and "fine" not in said
        assert said[9:12] == [
            "ids contain -1, which is not a word; words from 0 to 12 work",
            "ids contain 20, which is not a word; words from 0 to 12 work",
            "ids on meta, weight on cpu; the same device works",
        ]
        assert all("cannot be tied" in words for words in said[13:])
    assert VocabParallelEmbedding(13, 8)(IDS.int()).shape == (2, 4, 8)  # int32, as torch.nn.Embedding


LOGITS = torch.ones(2, 4, 13)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"logits_shard": LOGITS.long()}, "logits_shard of dtype torch.int64 has no fractions; torch.float32 works"),
        ({"logits_shard": LOGITS.numpy()}, "logits_shard = <ndarray of shape (2, 4, 13)> is not a tensor"),
        ({"logits_shard": [LOGITS]}, "logits_shard = <list of 1, first <Tensor of shape (2, 4, 13)>> is not a tensor"),
        ({"logits_shard": torch.tensor(1.0)}, "logits_shard is a single number; [..., words/p] works"),
        (
            {"logits_shard": LOGITS[..., :12]},
            "logits_shard has 12 columns; of vocab_size = 13 over tp = 1 each rank",
        ),
        ({"targets": IDS[:1]}, "targets of shape (1, 4); shape that works: (2, 4)"),
        ({"targets": IDS.float()}, "targets of dtype torch.float32 are no words; torch.int64 works"),
        ({"targets": LOGITS.softmax(-1)}, "targets of shape (2, 4, 13); shape that works: (2, 4)"),
        ({"targets": IDS.tolist()}, "targets = [[0, 1, 2, ...], [4, 5, 6, ...]] is not a tensor"),
        ({"targets": IDS.to("meta")}, "targets on meta, logits on cpu; the same device works"),
        ({"targets": IDS - 1}, "targets contain -1, which is not a word; words from 0 to 12 work"),
        ({"vocab_size": 0}, "vocab_size = 0 is not a vocabulary; sizes that work: 1, 2, 3, ..."),
        ({"vocab_size": 13.0}, "vocab_size = 13.0 is not a whole number"),
        ({"label_smoothing": 1.5}, "label_smoothing = 1.5 is no share; values from 0 to 1 work"),
        ({"label_smoothing": float("nan")}, "label_smoothing = nan is no share; values from 0 to 1 work"),
        ({"label_smoothing": "0.1"}, "label_smoothing = '0.1' is no share; values from 0 to 1 work"),
        ({"ignore_index": None}, "ignore_index = None is not a whole number; -100 works"),
        ({"ignore_index": -100.0}, "ignore_index = -100.0 is not a whole number; -100 works"),
        ({"reduction": None}, "reduction = None does not exist; values that work: mean, sum, none"),
        ({"reduction": "average"}, "reduction = 'average' does not exist; values that work: mean, sum, none"),
    ],
)
def test_what_gives_no_loss(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError) as error:
        vocab_parallel_cross_entropy(**{"logits_shard": LOGITS, "targets": IDS, "vocab_size": 13} | change)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize("eps", [0, -1e-6, float("nan"), float("inf"), "1e-6", None, True, torch.tensor(1e-6)])
def test_an_eps_that_is_none(eps: object) -> None:
    with pytest.raises(ValueError, match="eps = .* does not work; numbers above 0 do, such as 1e-6"):
        ParallelRMSNorm(8, eps)


@pytest.mark.parametrize("p", [1, 1.5, -0.1, float("nan"), "0.5", None, True, torch.tensor(0.5)])
def test_a_share_that_is_none(p: object) -> None:
    with pytest.raises(ValueError, match="p = .* is no share that can be dropped; values from 0 up to, but not, 1"):
        ParallelDropout(p)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_what_dropout_does_not_take(mode: str) -> None:
    for dim in (1.0, "1", True, [1]):
        with pytest.raises(ValueError, match="dim = .* is not a whole number; None works for an x that is not cut"):
            ParallelDropout(0.5, dim)
    layer = ParallelDropout(0.5, 3).train(mode == "train")
    for x, says in (
        (X, "dim = 3 does not exist in a 3-dim"),
        (X.long(), "has no fractions"),
        (X.numpy(), "is not a tensor"),
    ):
        with pytest.raises(ValueError, match=says):
            layer(x)


def of_partitions() -> list[str]:
    place = Place.of()
    own = ColumnParallelLinear(8, 6).partitions["weight"]
    return refusals(
        [
            lambda: own.shard(torch.ones(3, 8)),  # a rank's shard where the whole is due
            lambda: own.full_tensor(torch.ones(6, 8)),  # and the other way round
            lambda: own.full_tensor(None),  # the gradient of a parameter that got none
            lambda: own.shard(torch.ones(6, 8).numpy()),
            lambda: Partition((6, 8), place, (Chunk(4, 7),)),
            lambda: Partition((6, 8), place, (Chunk(0, 3),), partial=(3, 7)),
            lambda: Partition((6, 8), place, (Chunk(0, 3),), dim=2),
            lambda: Partition((6, 8), place, (Chunk(0, 3),), padding=-1),
            lambda: Partition((), place, ()),
            lambda: Chunk(3, 2),
            lambda: Chunk(-1, 2),
            lambda: Chunk(0, 2, 2, 2),
            lambda: Place(2, 2),
            lambda: MergedColumnParallelLinear(8, 16),
            lambda: MergedColumnParallelLinear(8, ()),
            lambda: MergedColumnParallelLinear(8, "88"),
        ]
    )


def test_partitions_that_cannot_be() -> None:
    for said in run_ranks(of_partitions, 2, record=False).values:
        assert said == [
            "a dense tensor of shape (3, 8); shape that works: (6, 8)",
            "a shard of shape (6, 8); shape that works on this rank: (3, 8)",
            "the shard = None is not a tensor; a torch.Tensor works",
            "the dense tensor = <ndarray of shape (6, 8)> is not a tensor; torch.from_numpy(...) makes one",
            "rows 4 to 7 do not lie in dim 0 of a dense tensor of shape (6, 8); rows from 0 to 6 work",
            "rows 3 to 7 do not lie in dim 0 of a dense tensor of shape (6, 8); rows from 0 to 6 work",
            "dim = 2 does not exist in a 2-dimensional tensor; dims that work: -2 to 1",
            "padding = -1 is not a size; sizes that work: 0, 1, 2, ...",
            "dim = 0 does not exist: the tensor is a single number and has no dimension to cut",
            "stop = 2 is not a size; sizes that work: 3, 4, 5, ...",
            "start = -1 is not a size; sizes that work: 0, 1, 2, ...",
            "copy = 2 does not exist; with 2 copies, they go from 0 to 1",
            "rank = 2 does not exist; with 2 ranks, ranks go from 0 to 1",
            "out_features = 16 is not a list of sizes; (16, 16) would be one",
            "out_features = () is not a list of sizes; (16, 16) would be one",
            "out_features = '88' is not a list of sizes; (16, 16) would be one",
        ]
