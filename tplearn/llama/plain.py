"""The Llama of ordinary modules, under Hugging Face's names: what a PyTorch plan cuts, and nothing of tplearn's layers.

`nn.Linear`, `nn.Embedding` and `nn.RMSNorm`, called as transformers calls them, without its import (a second and more).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.llama import rope
from tplearn.llama.config import LlamaConfig
from tplearn.llama.model import Llama
from tplearn.llama.tensors import TensorNames
from tplearn.parallel.partition import partitions
from tplearn.parallel.rotary import rotary_tables


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, heads, seq, d]; cos, sin: [seq, d] → x, turned. Hugging Face: `apply_rotary_pos_emb`."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class PlainAttention(nn.Module):
    """Three projections, and heads counted by what is there (−1), so that a rank may have some of them only."""

    def __init__(self, c: LlamaConfig) -> None:
        super().__init__()
        self.head_dim = c.head_dim
        self.q_proj = nn.Linear(c.hidden_size, c.num_attention_heads * c.head_dim, c.qkv_bias)
        self.k_proj = nn.Linear(c.hidden_size, c.num_key_value_heads * c.head_dim, c.qkv_bias)
        self.v_proj = nn.Linear(c.hidden_size, c.num_key_value_heads * c.head_dim, c.qkv_bias)
        self.o_proj = nn.Linear(c.num_attention_heads * c.head_dim, c.hidden_size, False)

    def forward(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor]) -> Tensor:
        """hidden_states: [batch, seq, hidden]; position_embeddings: cos and sin, [seq, d] each → as hidden_states."""
        batch, seq, _ = hidden_states.shape
        # [batch, seq, heads·d] → [batch, heads, seq, d]
        q, k, v = (
            projection(hidden_states).view(batch, seq, -1, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = turn(q, *position_embeddings), turn(k, *position_embeddings)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])
        return self.o_proj(y.transpose(1, 2).reshape(batch, seq, -1))  # [batch, heads, seq, d] → [batch, seq, heads·d]


class PlainMLP(nn.Module):
    """SwiGLU with three projections."""

    def __init__(self, c: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class PlainLayer(nn.Module):
    """Norm, attention, norm, MLP, each pair with a residual around it."""

    def __init__(self, c: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = PlainAttention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = PlainMLP(c)

    def forward(self, x: Tensor, position_embeddings: tuple[Tensor, Tensor]) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        x = x + self.self_attn(hidden_states=self.input_layernorm(x), position_embeddings=position_embeddings)
        return x + self.mlp(self.post_attention_layernorm(x))


class PlainBody(nn.Module):
    """All but the head. Hugging Face: LlamaModel."""

    def __init__(self, c: LlamaConfig) -> None:
        super().__init__()
        self.frequencies = rope.frequencies(c)
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList([PlainLayer(c) for _ in range(c.num_hidden_layers)])
        self.norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """input_ids: [batch, seq] → [batch, seq, hidden]. Without position_ids, [1, seq], they are counted from x."""
        x = self.embed_tokens(input_ids)
        positions = torch.arange(x.shape[1], device=x.device) if position_ids is None else position_ids[0]
        tables = rotary_tables(positions, 2 * len(self.frequencies), frequencies=self.frequencies)
        cos_sin = tuple(table.to(x.dtype) for table in tables)
        for layer in self.layers:
            x = layer(x, cos_sin)
        return self.norm(x)


class PlainLlama(nn.Module):
    """Hugging Face: LlamaForCausalLM, or with `qkv_bias` Qwen2ForCausalLM. Same names, same numbers, one process."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = PlainBody(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """input_ids: [batch, seq] → logits [batch, seq, vocab]."""
        return self.lm_head(self.model(input_ids, position_ids))

    @staticmethod
    @torch.no_grad()
    def like(llama: Llama) -> "PlainLlama":
        """The same numbers, whole on every rank. Every rank of its group must call it."""
        plain, names = PlainLlama(llama.config), dict(TensorNames(llama.config).parameters())
        plain.to(next(llama.parameters()))
        state = dict(plain.named_parameters())
        for name, parameter, partition in partitions(llama):
            dense = partition.full_tensor(parameter.detach())
            rows = dense.split([shape[0] for shape in names[name].values()])
            for stored, part in zip(names[name], rows, strict=True):
                state[stored].copy_(part)
        return plain
