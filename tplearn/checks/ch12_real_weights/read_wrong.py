"""Wrong answers to exercise 12.1: too much read, wrong rows, wrong columns, wrong words."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.parallel import head_range, vocab_range

FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
Sizes = tuple[int, int, int]
Run = tuple[int, int]


def wrong_read(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int, wrong: str) -> Tensor:
    """A rank's shard of a parameter, with one thing `wrong`."""
    if wrong == "load all, then slice":
        file = _InMemory(file, FUSED.get(parameter, (parameter,)))
    if wrong == "rank 0's":
        rank = 0
    if parameter == "embed_tokens":
        return _words(file, rank, world_size, wrong)
    if parameter in ("o_proj", "down_proj"):
        return _columns(file, parameter, sizes[0], rank, world_size, wrong)
    names = FUSED[parameter]
    if wrong == "fused parameter cut as one block":
        return torch.cat([file.get_slice(name)[:] for name in names]).tensor_split(world_size)[rank].clone()
    if wrong == "whole tensors of fused parameters" or (wrong == "q, k and v whole" and parameter == "qkv_proj"):
        file = _InMemory(file, names)
    if wrong == "gate and up cut as one block" and parameter == "gate_up_proj":
        return torch.cat([file.get_slice(name)[:] for name in names]).tensor_split(world_size)[rank].clone()
    runs = _gate_up(file, rank, world_size) if parameter == "gate_up_proj" else _qkv(sizes, rank, world_size, wrong)
    if wrong == "fused in reverse":
        names, runs = names[::-1], runs[::-1]
    parts = [file.get_slice(name)[a:b] for name, (a, b) in zip(names, runs, strict=True)]
    if wrong == "rows of gate and up interleaved" and parameter == "gate_up_proj":
        return torch.stack(parts, 1).flatten(0, 1)
    if wrong == "keys for values" and parameter == "qkv_proj":
        parts[2] = parts[1]
    return torch.cat(parts)


class _InMemory(CountingFile):
    """A file whose tensors were read whole from another."""

    def __init__(self, file: CountingFile, names: tuple[str, ...]) -> None:
        super().__init__({name: file.get_slice(name)[:] for name in names})


def _words(file: CountingFile, rank: int, world_size: int, wrong: str) -> Tensor:
    words = file.get_slice("embed_tokens")
    total, width = words.get_shape()
    start, stop, rows = vocab_range(total, rank, world_size)
    if wrong == "padding forgotten":
        return words[start:stop]
    if wrong == "padding on top":
        return pad(words[start:stop], (0, 0, rows - (stop - start), 0))
    if wrong == "words shared out evenly":
        start, stop = rank * total // world_size, (rank + 1) * total // world_size
    if wrong == "a rest dropped":
        rows = total // world_size
        start, stop = rank * rows, (rank + 1) * rows
    if wrong == "stop below start":
        start, stop = rank * rows, min((rank + 1) * rows, total)
    if wrong == "table whole":
        return words[:]
    return pad(words[start:stop], (0, 0, 0, rows - (stop - start)))


def _columns(file: CountingFile, parameter: str, heads: int, rank: int, world_size: int, wrong: str) -> Tensor:
    weight = file.get_slice(parameter)
    columns = weight.get_shape()[1] // world_size
    if wrong == "rows where columns are due":
        total = weight.get_shape()[0]
        return weight[rank * total // world_size : (rank + 1) * total // world_size]
    if wrong == "whole rows for columns":
        return weight[:][:, rank * columns : (rank + 1) * columns].clone()
    if wrong == "heads for columns" and parameter == "o_proj":
        columns = heads // world_size
    if wrong == "o and down whole":
        return weight[:]
    return weight[:, rank * columns : (rank + 1) * columns]


def _gate_up(file: CountingFile, rank: int, world_size: int) -> list[Run]:
    rows = file.get_slice("gate_proj").get_shape()[0] // world_size
    return [(rank * rows, (rank + 1) * rows)] * 2


def _qkv(sizes: Sizes, rank: int, world_size: int, wrong: str) -> list[Run]:
    heads, kv_heads, d = sizes
    own = head_range(heads, kv_heads, rank, world_size)
    (q, q_stop), (kv, kv_stop) = own.queries, own.keys
    if wrong == "KV heads dealt out":
        size = kv_stop - kv
        kv = rank * size % kv_heads
        kv_stop = kv + size
    if wrong == "all KV heads":
        kv, kv_stop = 0, kv_heads
    if wrong == "head_dim forgotten":
        d = 1
    runs = [(q * d, q_stop * d), (kv * d, kv_stop * d), (kv * d, kv_stop * d)]
    if wrong == "KV rows cut evenly":
        rows = kv_heads * d
        runs[1:] = [(rank * rows // world_size, (rank + 1) * rows // world_size)] * 2
    return runs
