"""The Llama: embedding, blocks, norm and head from tplearn.parallel, on one rank or cut over a group."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tplearn.llama import loading, rope, saving
from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.config import LlamaConfig
from tplearn.llama.generation_config import GenerationConfig
from tplearn.llama.tensors import HEAD, sources
from tplearn.parallel import (
    KVCache,
    ParallelAttention,
    ParallelDropout,
    ParallelLMHead,
    ParallelMLP,
    ParallelRMSNorm,
    VocabParallelEmbedding,
    gather_from_group,
    reduce_from_group,
    vocab_parallel_cross_entropy,
)
from tplearn.parallel.kv_cache import tokens_before
from tplearn.parallel.parameters import draw
from tplearn.parallel.partition import partitions
from tplearn.parallel.place import Group, Place
from tplearn.tensors import require_tensor


class Block(nn.Module):
    """Norm, attention, norm, MLP, each pair with a residual around it. Hugging Face: `LlamaDecoderLayer`.

    x and the result: [batch, seq, hidden], the same on every rank ([batch, seq/p, hidden] with sequence_parallel).
    Communication: two all-reduces forward, two backward; with sequence_parallel two all-gathers and two
    reduce-scatters each way.
    """

    def __init__(
        self,
        config: LlamaConfig,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
        dropout: float = 0.0,
        data_group: Group = None,
    ) -> None:
        super().__init__()
        c, cut = config, {"group": group, "sequence_parallel": sequence_parallel}
        self.input_layernorm = ParallelRMSNorm(c.hidden_size, c.rms_norm_eps, **cut)
        self.self_attn = ParallelAttention(
            c.hidden_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim, c.qkv_bias, **cut
        )
        self.post_attention_layernorm = ParallelRMSNorm(c.hidden_size, c.rms_norm_eps, **cut)
        self.mlp = ParallelMLP(c.hidden_size, c.intermediate_size, **cut)
        self.dropout = ParallelDropout(dropout, 1 if sequence_parallel else None, group, data_group)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None) -> Tensor:
        """x: [batch, seq, hidden]; cos, sin: [seq, head_dim] → as x."""
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cos, sin, cache))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    """A Llama or Qwen2 for causal language modelling; with sequence_parallel for training, where seq divides by p.

    All ranks of the group must have the same seed: the sharded model is the dense one cut up, bit for bit. dropout: for
    training, of what attention and MLP add to the residual; data_group: see `ParallelDropout`.
    Raises ValueError on every rank where a size does not divide by the ranks.
    """

    def __init__(
        self,
        config: LlamaConfig,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
        dropout: float = 0.0,
        data_group: Group = None,
    ) -> None:
        super().__init__()
        self.config, self.place, self.sequence_parallel = config, Place.of(group), sequence_parallel
        self.generation_config = GenerationConfig.of(config)
        cut = {"group": self.place, "sequence_parallel": sequence_parallel}
        self.embed_tokens = VocabParallelEmbedding(config.vocab_size, config.hidden_size, **cut)
        drop = {"dropout": dropout, "data_group": data_group}
        self.layers = nn.ModuleList([Block(config, **cut, **drop) for _ in range(config.num_hidden_layers)])
        self.norm = ParallelRMSNorm(config.hidden_size, config.rms_norm_eps, **cut)
        self.frequencies = rope.frequencies(config)  # no buffer: they stay float32 in a model of any dtype
        self.lm_head = ParallelLMHead(config.vocab_size, config.hidden_size, **cut)
        if config.tie_word_embeddings:
            self.lm_head.tie(self.embed_tokens)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Hugging Face's initialisation: matrices from N(0, initializer_range²), norms one, biases zero."""
        for name, parameter, partition in partitions(self):
            if parameter.ndim == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                draw(parameter, partition, lambda dense: dense.normal_(std=self.config.initializer_range))

    def forward(self, input_ids: Tensor, caches: list[KVCache] | None = None, *, last: bool = False) -> Tensor:
        """input_ids: [batch, seq], the same on every rank → logits [batch, seq, vocab], the same on every rank.

        caches: one for each layer, of the tokens before; they take the new ones. last: logits of the last token only.
        """
        x = self.hidden(input_ids, caches)
        logits_shard = self.lm_head(x[:, -1:] if last else x)
        return gather_from_group(logits_shard, -1, self.place)[..., : self.config.vocab_size]

    def loss(self, input_ids: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
        """Mean cross-entropy of targets [batch, seq]; no rank ever has the whole logits."""
        logits_shard = self.lm_head(self.hidden(input_ids))
        return vocab_parallel_cross_entropy(
            logits_shard, targets, vocab_size=self.config.vocab_size, ignore_index=ignore_index, group=self.place
        )

    def hidden(self, input_ids: Tensor, caches: list[KVCache] | None = None) -> Tensor:
        """input_ids: [batch, seq] → [batch, seq, hidden] ([batch, seq/p, hidden] with sequence_parallel)."""
        before = 0 if caches is None else tokens_before(caches, len(self.layers))
        require_tensor("input_ids", input_ids)
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids of shape {tuple(input_ids.shape)}; [batch, seq] works")
        length = before + input_ids.shape[1]
        if length > self.config.max_length:
            raise ValueError(f"{length} tokens are more than the model allows: up to {self.config.limit} work")
        x = self.embed_tokens(input_ids)
        cos, sin = rope.tables(self.frequencies, before, length, x)
        for number, layer in enumerate(self.layers):
            x = layer(x, cos, sin, None if caches is None else caches[number])
        return self.norm(x)

    @staticmethod
    def from_pretrained(
        folder: str | Path,
        group: Group = None,
        dtype: torch.dtype = torch.float32,
        *,
        device: torch.device | str = "cpu",
        sequence_parallel: bool = False,
    ) -> Llama:
        """A Hugging Face folder, of which this rank reads the bytes of its own shard only.

        Raises ValueError for an architecture or a size that does not work, and for a folder that is damaged.
        """
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize == 1:
            raise ValueError(f"dtype = {dtype!r} is no dtype to compute in; torch.float32 and torch.bfloat16 work")
        config, stored = LlamaConfig.from_folder(folder), Checkpoint(folder)
        parts = sources(config, stored)
        with torch.device("meta"):  # no memory yet
            model = Llama(config, group, sequence_parallel=sequence_parallel)
        model.generation_config = GenerationConfig.from_folder(folder)
        loading.load(model, parts, stored, dtype, torch.device(device))
        if config.tie_word_embeddings and HEAD in parts:
            model._untie_other_head(parts[HEAD], stored)
        stored.close()
        return model

    @torch.no_grad()
    def _untie_other_head(self, parts: dict[str, int], stored: Checkpoint) -> None:
        """Of a tied model whose files hold a head too, which is another matrix: as in transformers, both are used.

        Each rank compares its own rows, and then all must know: a tie on some ranks only would tear the model apart.
        """
        table = self.embed_tokens.weight
        head = loading.read_parameter(self.lm_head.partitions["weight"], parts, stored, table.dtype, table.device)
        differs = table.new_tensor([not torch.equal(head, table)])
        if reduce_from_group(differs, self.place):
            self.lm_head.weight = head
            self.config = replace(self.config, tie_word_embeddings=False)
            if self.place.rank == 0:
                warnings.warn(
                    f"{stored.folder}: tie_word_embeddings is true, but {HEAD} is another matrix than the embedding; "
                    "both are used as they are stored",
                    stacklevel=3,
                )

    def save_pretrained(self, folder: str | Path, max_file_bytes: int = 5 << 30) -> None:
        """Write a Hugging Face folder. Every rank must call it; the first rank of the group writes."""
        writes = self.place.rank == 0
        saving.save(self, self.config, self.generation_config, Path(folder), max_file_bytes, writes=writes)
