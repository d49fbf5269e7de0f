"""Which rank owns which words of a vocabulary, and what is no word."""

import torch
from torch import Tensor

from tplearn.parallel.partition import Chunk, Partition
from tplearn.parallel.place import Place
from tplearn.sizes import require_rank, require_size
from tplearn.tensors import require_tensor

WORD_DTYPES = (torch.int64, torch.int32)  # what torch's own embedding takes


def vocab_range(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    """(start, stop, rows): the words of `rank`, and the rows of every rank, ⌈vocab_size / p⌉.

    A rank with fewer words than rows has padding after them. Megatron-LM and vLLM pad too, to a fixed multiple.
    Raises ValueError for a vocabulary without words and a rank that does not exist.
    """
    vocab_size = require_size("vocab_size", vocab_size, noun="a vocabulary")
    rank = require_rank("rank", rank, world_size)
    rows = -(-vocab_size // world_size)
    return min(rank * rows, vocab_size), min((rank + 1) * rows, vocab_size), rows


def word_partition(dense_shape: tuple[int, ...], place: Place) -> Partition:
    """Rows by words, padded to the same number on every rank."""
    start, stop, rows = vocab_range(dense_shape[0], place.rank, place.world_size)
    chunks = (Chunk(start, stop),) if stop > start else ()
    return Partition(dense_shape, place, chunks, padding=rows - (stop - start))


def require_words(name: str, ids: Tensor, vocab_size: int) -> None:
    """Raises ValueError where `ids` are no int64 or int32, or on the CPU not all from 0 to vocab_size − 1."""
    if require_tensor(name, ids).dtype not in WORD_DTYPES:
        raise ValueError(f"{name} of dtype {ids.dtype} are no words; torch.int64 works")
    if ids.device.type == "cpu" and ids.numel():
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= vocab_size:
            wrong = low if low < 0 else high
            raise ValueError(f"{name} contain {wrong}, which is not a word; words from 0 to {vocab_size - 1} work")
