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
from tplearn.parallel.inputs import require_input
from tplearn.parallel.parameters import draw, draw_linear, make_parameters
from tplearn.parallel.place import Group, Place
from tplearn.parallel.words import require_words, vocab_range, word_partition
from tplearn.sizes import require_flags, require_size, require_whole, shown


class VocabParallelEmbedding(nn.Module):
    """Each rank looks up its own words and gives zeros for the others; one all-reduce joins them. Backward: none.

    | tensor | shape on a rank       | whose slice it is                                                          |
    | ids    | [batch, seq]          | the same on every rank                                                     |
    | weight | [⌈words/p⌉, width]    | rows of the dense table: Shard(0), padded                                  |
    | y      | [batch, seq, width]   | the same on every rank ([batch, seq/p, width] with sequence_parallel)      |

    With sequence_parallel a reduce-scatter takes the place of the all-reduce, and backward is an all-gather.
    `padding_idx` is a word of the whole vocabulary: its row is zero at the start and gets no gradient.

    Raises ValueError where a size is none or padding_idx no word, and in forward for ids of another kind than int64 or
    int32 or outside the vocabulary (where they are on the CPU; on a GPU the question would make it wait). Megatron-LM
    and vLLM have it under this name.
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
        require_flags(sequence_parallel=sequence_parallel)
        num_embeddings = require_size("num_embeddings", num_embeddings)
        embedding_dim = require_size("embedding_dim", embedding_dim)
        if padding_idx is not None:
            works = f"words from 0 to {num_embeddings - 1} work"
            padding_idx = require_whole("padding_idx", padding_idx, works)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"padding_idx = {padding_idx} is not a word; {works}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.sequence_parallel = sequence_parallel
        self.start, self.stop, _ = vocab_range(num_embeddings, self.place.rank, self.place.world_size)
        self.partitions = {"weight": word_partition((num_embeddings, embedding_dim), self.place)}
        make_parameters(self, ("weight",))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Embedding's own initialisation, N(0, 1), of the dense table, of which each rank keeps its rows."""

        def fill(dense: Tensor) -> None:
            dense.normal_()
            if self.padding_idx is not None:
                dense[self.padding_idx] = 0

        draw(self.weight, self.partitions["weight"], fill)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [batch, seq] → [batch, seq, width]."""
        require_words("ids", ids, self.num_embeddings)
        if ids.device != self.weight.device:
            raise ValueError(f"ids on {ids.device}, weight on {self.weight.device}; the same device works")
        if self.sequence_parallel and ids.ndim < 2:
            raise ValueError(f"ids of shape {tuple(ids.shape)}; with sequence_parallel [batch, sequence] works")
        elsewhere = (ids < self.start) | (ids >= self.stop)
        own_ids = (ids - self.start).masked_fill(elsewhere, 0)  # any row will do: it is masked out below
        own_padding = None
        if self.padding_idx is not None and self.start <= self.padding_idx < self.stop:
            own_padding = self.padding_idx - self.start
        partial = F.embedding(own_ids, self.weight, own_padding).masked_fill(elsewhere[..., None], 0)
        if self.sequence_parallel:
            return reduce_scatter_sequence(partial, 1, self.place)
        return reduce_from_group(partial, self.place)


class ParallelLMHead(nn.Module):
    """Logits, cut by words: y = x Aᵀ + b, where each rank has the rows of its own words. vLLM has it under this name.

    | tensor       | shape on a rank      | whose slice it is                                                        |
    | x            | [..., width]         | the same on every rank ([batch, seq/p, width] with sequence_parallel)    |
    | weight, bias | [⌈words/p⌉, width]   | rows of the dense weight: Shard(0), padded; may be the embedding's own   |
    | y            | [..., ⌈words/p⌉]     | this rank's words, −∞ in the padding; [..., words] with gather_output    |

    Communication: forward none (an all-gather with gather_output), backward one all-reduce of x's gradient.

    Raises ValueError where a size is none, and in forward for an x of another shape, dtype or device.
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
        require_flags(bias=bias, gather_output=gather_output, sequence_parallel=sequence_parallel)
        num_embeddings = require_size("num_embeddings", num_embeddings)
        embedding_dim = require_size("embedding_dim", embedding_dim)
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
        """Use the embedding's table as weight: one parameter, and one gradient that both add to.

        Raises ValueError for a table of another shape or cut over another group.
        """
        if not isinstance(embedding, VocabParallelEmbedding):
            raise ValueError(f"embedding = {shown(embedding)} cannot be tied; a VocabParallelEmbedding works")
        if embedding.partitions["weight"] != self.partitions["weight"]:
            raise ValueError(
                f"an embedding of shape {embedding.partitions['weight'].dense_shape} cannot be tied to a head of shape "
                f"{self.partitions['weight'].dense_shape}; the same shape, cut over the same group, works"
            )
        self.weight = embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., width] → [..., ⌈words/p⌉], or [..., words] with gather_output."""
        require_input(self, x, self.in_features, self.weight, self.sequence_parallel)
        x = gather_sequence(x, 1, self.place) if self.sequence_parallel else copy_to_group(x, self.place)
        logits_shard = F.linear(x, self.weight, self.bias)
        padding = self.partitions["weight"].padding
        if padding:
            is_padding = torch.arange(logits_shard.shape[-1], device=x.device) >= logits_shard.shape[-1] - padding
            logits_shard = logits_shard.masked_fill(is_padding, -torch.inf)
        if not self.gather_output:
            return logits_shard
        return gather_from_group(logits_shard, -1, self.place)[..., : self.num_embeddings]
