"""Embedding and lm_head cut by words, for any vocabulary: ranks with fewer words than others get padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
)
from tplearn.parallel.parameters import draw_linear, make_parameters
from tplearn.parallel.partition import Partition, Piece
from tplearn.parallel.place import Group, Place, require_input


def vocab_range(vocab_size: int, rank: int, world_size: int) -> tuple[int, int, int]:
    """(start, stop, rows): the words of `rank`, and the rows of every rank, ⌈vocab_size / p⌉.

    A rank with fewer words than rows has padding after them. Megatron-LM and vLLM pad too, to a fixed multiple.
    """
    if vocab_size < 1:
        raise ValueError(f"vocab_size = {vocab_size} is no vocabulary; sizes from 1 work")
    rows = -(-vocab_size // world_size)
    return min(rank * rows, vocab_size), min((rank + 1) * rows, vocab_size), rows


class VocabParallelEmbedding(nn.Module):
    """Each rank looks up its own words and gives zeros for the others; one all-reduce joins them. Backward: none.

    | tensor | shape on a rank       | whose slice it is                                                          |
    | ids    | [batch, seq]          | the same on every rank                                                     |
    | weight | [⌈words/p⌉, width]    | rows of the dense table: Shard(0), padded                                  |
    | y      | [batch, seq, width]   | the same on every rank ([batch, seq/p, width] with sequence_parallel)      |

    With sequence_parallel a reduce-scatter takes the place of the all-reduce, and backward is an all-gather.
    `padding_idx` is a word of the whole vocabulary: its row is zero at the start and gets no gradient.

    Raises ValueError for ids outside the vocabulary (where they are on the CPU; on a GPU the question would make it
    wait). Megatron-LM and vLLM have it under this name.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.place = Place.of(group)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx = {padding_idx} is not a word; words from 0 to {num_embeddings - 1} work")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.sequence_parallel = sequence_parallel
        self.start, self.stop, _ = vocab_range(num_embeddings, self.place.rank, self.place.world_size)
        self.partitions = {"weight": word_partition((num_embeddings, embedding_dim), self.place)}
        make_parameters(self, ("weight",))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """nn.Embedding's own initialisation, N(0, 1), of the dense table, of which each rank keeps its rows."""
        if self.weight.is_meta:
            return
        dense = self.weight.new_empty(self.num_embeddings, self.embedding_dim).normal_()
        if self.padding_idx is not None:
            dense[self.padding_idx] = 0
        self.weight.copy_(self.partitions["weight"].cut(dense))

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [batch, seq] → [batch, seq, width]."""
        require_words("ids", ids, self.num_embeddings)
        elsewhere = (ids < self.start) | (ids >= self.stop)
        own_ids = (ids - self.start).masked_fill(elsewhere, 0)  # any row will do: it is masked out below
        own_padding = None
        if self.padding_idx is not None and self.start <= self.padding_idx < self.stop:
            own_padding = self.padding_idx - self.start
        summand = F.embedding(own_ids, self.weight, own_padding).masked_fill(elsewhere[..., None], 0)
        if self.sequence_parallel:
            return reduce_scatter_sequence(summand, 1, self.place)
        return reduce_from_group(summand, self.place)


class ParallelLMHead(nn.Module):
    """Logits, cut by words: y = x Aᵀ + b, where each rank has the rows of its own words. vLLM has it under this name.

    | tensor       | shape on a rank      | whose slice it is                                                        |
    | x            | [..., width]         | the same on every rank ([batch, seq/p, width] with sequence_parallel)    |
    | weight, bias | [⌈words/p⌉, width]   | rows of the dense weight: Shard(0), padded; may be the embedding's own   |
    | y            | [..., ⌈words/p⌉]     | this rank's words, −∞ in the padding; [..., words] with gather_output    |

    Communication: forward none (an all-gather with gather_output), backward one all-reduce of x's gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        bias: bool = False,
        gather_output: bool = False,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.place = Place.of(group)
        self.num_embeddings, self.in_features = num_embeddings, embedding_dim
        self.gather_output, self.sequence_parallel = gather_output, sequence_parallel
        self.partitions = {"weight": word_partition((num_embeddings, embedding_dim), self.place)}
        if bias:
            self.partitions["bias"] = word_partition((num_embeddings,), self.place)
        make_parameters(self, ("weight", "bias"))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Linear's own initialisation of the dense layer, of which each rank keeps its rows."""
        draw_linear(self)

    def tie(self, embedding: VocabParallelEmbedding) -> None:
        """Use the embedding's table as weight: one parameter, and one gradient that both add to."""
        if embedding.partitions["weight"] != self.partitions["weight"]:
            raise ValueError(
                f"an embedding of shape {embedding.partitions['weight'].dense_shape} cannot be tied to a head of shape "
                f"{self.partitions['weight'].dense_shape}; the same shape, cut over the same group, works"
            )
        self.weight = embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., width] → [..., ⌈words/p⌉], or [..., words] with gather_output."""
        require_input(x, self.in_features, self.weight, type(self).__name__)
        x = gather_sequence(x, 1, self.place) if self.sequence_parallel else copy_to_group(x, self.place)
        logits_shard = F.linear(x, self.weight, self.bias)
        padding = self.partitions["weight"].padding
        if padding:
            is_padding = torch.arange(logits_shard.shape[-1], device=x.device) >= logits_shard.shape[-1] - padding
            logits_shard = logits_shard.masked_fill(is_padding, -torch.inf)
        if not self.gather_output:
            return logits_shard
        return gather_from_group(logits_shard, -1, self.place)[..., : self.num_embeddings]


def word_partition(dense_shape: tuple[int, ...], place: Place) -> Partition:
    """Rows by words, padded to the same number on every rank."""
    start, stop, rows = vocab_range(dense_shape[0], place.rank, place.world_size)
    pieces = (Piece(start, stop),) if stop > start else ()
    return Partition(dense_shape, place, pieces, padding=rows - (stop - start))


def require_words(name: str, ids: Tensor, vocab_size: int) -> None:
    """Raises ValueError where `ids` on the CPU are no whole numbers from 0 to vocab_size − 1."""
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(f"{name} of dtype {ids.dtype} are no words; torch.int64 works")
    if ids.device.type == "cpu" and ids.numel():
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= vocab_size:
            wrong = low if low < 0 else high
            raise ValueError(f"{name} contain {wrong}, which is not a word; words from 0 to {vocab_size - 1} work")
