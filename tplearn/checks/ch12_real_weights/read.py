"""Exercise 12.1: a rank reads its own part of a parameter out of a file, and not a byte more."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch08_attention.inputs import HIDDEN, SIZES
from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import plain
from tplearn.parallel import head_range, vocab_range

WORDS, INNER = {1: 5, 2: 9, 3: 7, 4: 13}, 12  # words: one rank has fewer than the others
PARAMETERS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "embed_tokens")
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
Sizes = tuple[int, int, int]  # heads, KV heads, head_dim


def read_shard(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    """This rank's part of a parameter: fused from its parts, cut, padded."""
    if parameter == "embed_tokens":
        words = file.get_slice("embed_tokens")
        total, width = words.get_shape()
        start, stop, rows = vocab_range(total, rank, world_size)
        return torch.nn.functional.pad(words[start:stop], (0, 0, 0, rows - (stop - start)))
    if parameter in ("o_proj", "down_proj"):
        weight = file.get_slice(parameter)
        start, stop = _equal(weight.get_shape()[1], rank, world_size)
        return weight[:, start:stop]
    return torch.cat([file.get_slice(name)[a:b] for name, (a, b) in rows_of(file, parameter, sizes, rank, world_size)])


def rows_of(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> list:
    """(tensor in the file, its rows) for each part of a fused parameter."""
    if parameter == "gate_up_proj":
        return [(name, _equal(file.get_slice(name).get_shape()[0], rank, world_size)) for name in FUSED[parameter]]
    heads, kv_heads, d = sizes
    own = head_range(heads, kv_heads, rank, world_size)
    parts = zip(FUSED["qkv_proj"], (own.queries, own.keys, own.keys), strict=True)
    return [(name, (start * d, stop * d)) for name, (start, stop) in parts]


def _equal(total: int, rank: int, world_size: int) -> tuple[int, int]:
    return rank * total // world_size, (rank + 1) * total // world_size


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (2, 4, 1):
        heads, kv_heads, d = SIZES[tp]
        shapes = {
            "q_proj": (heads * d, HIDDEN),
            "k_proj": (kv_heads * d, HIDDEN),
            "v_proj": (kv_heads * d, HIDDEN),
            "o_proj": (HIDDEN + 1, heads * d),
            "gate_proj": (INNER, HIDDEN),
            "up_proj": (INNER, HIDDEN),
            "down_proj": (HIDDEN + 1, INNER),
            "embed_tokens": (WORDS[tp], HIDDEN),
        }
        cases.append(Case(tp, ({name: randn(generator, *shape) for name, shape in shapes.items()}, SIZES[tp])))
    return cases


def read_and_count(fn: Callable[..., Tensor], tensors: dict[str, Tensor], sizes: Sizes) -> dict[str, Any]:
    """Each parameter from a file of its own: what came out, and how many bytes were read for it."""
    shards: dict[str, Any] = {}
    read: dict[str, int] = {}
    for parameter in PARAMETERS:
        file = CountingFile(tensors)
        shards[parameter] = plain(fn(file, parameter, tuple(sizes), dist.get_rank(), dist.get_world_size()))
        read[parameter] = file.bytes_read
    return {"forward": shards, "bytes read": read}


def _all_then_slice(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    in_memory = CountingFile({name: file.get_tensor(name) for name in FUSED.get(parameter, (parameter,))})
    return read_shard(in_memory, parameter, sizes, rank, world_size)


def _one_block(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    if parameter not in FUSED:
        return read_shard(file, parameter, sizes, rank, world_size)
    fused = torch.cat([file.get_tensor(name) for name in FUSED[parameter]])
    return fused.tensor_split(world_size)[rank].clone()


def _rows_for_columns(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    if parameter not in ("o_proj", "down_proj"):
        return read_shard(file, parameter, sizes, rank, world_size)
    weight = file.get_slice(parameter)
    start, stop = _equal(weight.get_shape()[0], rank, world_size)
    return weight[start:stop]


def _no_padding(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    shard = read_shard(file, parameter, sizes, rank, world_size)
    if parameter != "embed_tokens":
        return shard
    start, stop, _ = vocab_range(file.get_slice("embed_tokens").get_shape()[0], rank, world_size)
    return shard[: stop - start]


def _kv_dealt(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    if parameter != "qkv_proj":
        return read_shard(file, parameter, sizes, rank, world_size)
    _, kv_heads, d = sizes
    parts = rows_of(file, parameter, sizes, rank, world_size)
    size = parts[1][1][1] - parts[1][1][0]
    start = rank * size % (kv_heads * d)
    parts[1:] = [(name, (start, start + size)) for name in ("k_proj", "v_proj")]
    return torch.cat([file.get_slice(name)[a:b] for name, (a, b) in parts])


READ_SHARD = Exercise(
    number="12.1",
    name="read_shard",
    points=15,
    difficulty=3,
    minutes=18,
    reference=read_shard,
    cases=_cases,
    observe=read_and_count,
    ranks=True,
    mutants=(
        Mutant(
            "load all, then slice",
            _all_then_slice,
            "Your shards are right, but you read every tensor whole and cut it afterwards. On p ranks the file is then "
            "read p times, and each rank has room for the largest tensor at least. That is what runs out of memory on "
            "big models. Slice first: get_slice(name)[start:stop] reads these rows and no others.",
            "the bytes read of qkv_proj: rows of the shard times bytes of a row.",
        ),
        Mutant(
            "fused parameter cut as one block",
            _one_block,
            "You put q, k and v (gate and up) one above the other and cut the pile in equal runs. Rank 0 then holds "
            "nothing but queries. Each tensor is cut by its own rows first; then the pieces are put together.",
            "the order: slice each of q_proj, k_proj, v_proj, then torch.cat.",
        ),
        Mutant(
            "rows where columns are due",
            _rows_for_columns,
            "o_proj and down_proj are cut along their inputs, and a weight is stored as [out, in]: that is dim 1, "
            "columns. You took rows. With a square o_proj even the number of bytes is right.",
            "get_slice(name)[:, start:stop] for o_proj and down_proj.",
        ),
        Mutant(
            "padding forgotten",
            _no_padding,
            "A rank with fewer words than the others returned fewer rows. All-gather wants the same shape from every "
            "rank, so each has ⌈words/tp⌉ rows, and what no word fills is zero.",
            "the third number that vocab_range gives.",
        ),
        Mutant(
            "KV heads dealt like cards",
            _kv_dealt,
            "Your keys and values belong to KV head rank mod num_kv_heads. With more ranks than KV heads neighbours "
            "share one: rank // copies. Shapes and bytes are right, and queries meet foreign keys.",
            "head_range(...).keys, for k_proj and v_proj alike.",
        ),
    ),
)
