"""The Llama in JAX: one forward pass for all meshes, without a collective in it; the compiler writes those."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import torch
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tplearn.gspmd.devices import BATCH
from tplearn.gspmd.specs import model_axes
from tplearn.llama import rope
from tplearn.llama.config import LlamaConfig
from tplearn.llama.tensors import EMBEDDING, HEAD, NORM


@dataclass(frozen=True)
class Endings:
    """Where the explicit mode wants to be told how a result lies. All None: the compiler decides.

    whole: of what row-parallel layers and the embedding give, [batch, seq, hidden]: the all-reduce forward (g).
    summed: of what column-parallel layers are given: nothing forward, one all-reduce of its gradient (f).
    summed_kv: the same of what keys and values are made from, where they are cut over fewer devices than queries.
    words: of the numbers of the words, [rows of the embedding], which the loss compares the targets with.
    """

    whole: NamedSharding | None = None
    summed: NamedSharding | None = None
    summed_kv: NamedSharding | None = None
    words: NamedSharding | None = None

    def f(self, x: Array) -> tuple[Array, Array]:
        """x: [batch, seq, hidden] → x for queries (and all else), and x for keys and values.

        The `copy_to_group` of chapter 06: one for both, unless keys and values lie on copies.
        """
        every = x if self.summed is None else jax.reshard(x, self.summed)
        return every, every if self.summed_kv is None else jax.reshard(x, self.summed_kv)


AUTO = Endings()


def explicit(mesh: Mesh) -> Endings:
    """The endings for a mesh that was made with explicit=True."""
    every, kv = model_axes(mesh)

    def summed(*axes: str) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(BATCH, None, None, reduced=set(axes)))

    return Endings(
        whole=NamedSharding(mesh, PartitionSpec(BATCH, None, None)),
        summed=summed(kv) if every == kv else summed(*every),
        summed_kv=None if every == kv else summed(kv),
        words=NamedSharding(mesh, PartitionSpec(every)),
    )


def forward(arrays: dict[str, Array], config: LlamaConfig, ids: Array, *, endings: Endings = AUTO) -> Array:
    """ids: [batch, seq] → logits [batch, seq, vocab], of the dtype of `arrays` (as `load` gives them).

    The logits stay cut by words. (In explicit mode those of a padded vocabulary become whole before the padding goes.)
    Ids must be below the vocabulary: nothing looks at numbers while a function is traced.
    Raises ValueError for ids of another shape, and more tokens than the model allows.
    """
    logits = _padded_logits(arrays, config, ids, endings)
    if logits.shape[-1] == config.vocab_size:
        return logits
    if endings.whole is not None:
        logits = jax.reshard(logits, endings.whole)
    return logits[..., : config.vocab_size]


def loss(
    arrays: dict[str, Array], config: LlamaConfig, ids: Array, targets: Array, *, endings: Endings = AUTO
) -> Array:
    """Mean cross-entropy of targets [batch, seq], all of which count; no device ever has the whole logits.

    Raises ValueError as `forward` does, and for targets of another shape than ids.
    """
    if targets.shape != ids.shape:
        raise ValueError(f"targets of shape {targets.shape}; the shape of ids works: {ids.shape}")
    logits = _padded_logits(arrays, config, ids, endings)
    words = jnp.arange(logits.shape[-1])
    if endings.words is not None:
        words = jax.reshard(words, endings.words)
    if len(words) != config.vocab_size:  # padding must not be likely
        logits = jnp.where(words < config.vocab_size, logits, jnp.finfo(logits.dtype).min)
    likelihoods = jax.nn.log_softmax(logits.astype(_at_least_float32(logits)))
    # Compared and summed instead of looked up: each device has some words only, and adds what it has.
    return -jnp.mean(jnp.sum(jnp.where(targets[..., None] == words, likelihoods, 0), axis=-1))


def _padded_logits(arrays: dict[str, Array], config: LlamaConfig, ids: Array, endings: Endings) -> Array:
    """[batch, seq, rows of the head]: with the padding of the vocabulary."""
    if ids.ndim != 2:
        raise ValueError(f"ids of shape {tuple(ids.shape)}; [batch, seq] works")
    if ids.shape[1] > config.max_length:
        raise ValueError(f"{ids.shape[1]} tokens are more than the model allows: up to {config.limit} work")
    table = arrays[EMBEDDING]
    x = table.at[ids].get(out_sharding=endings.whole)  # [batch, seq, hidden]
    tables = rope.tables(rope.frequencies(config), 0, ids.shape[1], torch.empty(0, dtype=torch.float32))
    cos, sin = (jnp.asarray(part.numpy(), dtype=x.dtype) for part in tables)  # tplearn's, to the last bit
    for number in range(config.num_hidden_layers):
        layer = f"model.layers.{number}."
        p = {name.removeprefix(layer): array for name, array in arrays.items() if name.startswith(layer)}
        h = _norm(x, p["input_layernorm.weight"], config)
        x = x + _attention(*endings.f(h), p, config, cos, sin, endings)
        h = _norm(x, p["post_attention_layernorm.weight"], config)
        x = x + _mlp(endings.f(h)[0], p, endings)
    return _column(endings.f(_norm(x, arrays[NORM], config))[0], arrays.get(HEAD, table))


def _attention(
    x: Array, x_kv: Array, p: dict[str, Array], config: LlamaConfig, cos: Array, sin: Array, endings: Endings
) -> Array:
    """Causal attention; x, x_kv: [batch, seq, hidden] → as x. Heads are a dimension of their own: so they stay cut."""
    batch, seq, _ = x.shape
    kv, d = config.num_key_value_heads, config.head_dim
    group = config.num_attention_heads // kv  # query heads of a KV head

    def heads(x: Array, name: str, *shape: int) -> Array:
        y = _column(x, p[f"self_attn.{name}.weight"])
        bias = p.get(f"self_attn.{name}.bias")
        return (y if bias is None else y + bias).reshape(batch, seq, *shape)

    q = _rotated(heads(x, "q_proj", kv, group, d), cos[:, None, None], sin[:, None, None])
    k = _rotated(heads(x_kv, "k_proj", kv, d), cos[:, None], sin[:, None])
    v = heads(x_kv, "v_proj", kv, d)
    scores = jnp.einsum("bqhgd,bkhd->bhgqk", q, k) * d**-0.5  # [batch, kv, group, seq, seq]
    seen = jnp.tril(jnp.ones((seq, seq), dtype=bool))
    scores = jnp.where(seen, scores, -jnp.inf).astype(_at_least_float32(x))
    y = jnp.einsum("bhgqk,bkhd->bqhgd", jax.nn.softmax(scores).astype(x.dtype), v)
    # [batch, seq, kv, group, d] → [batch, seq, heads·d]
    return _row(y.reshape(batch, seq, -1), p["self_attn.o_proj.weight"], endings)


def _mlp(x: Array, p: dict[str, Array], endings: Endings) -> Array:
    """SwiGLU; x: [batch, seq, hidden] → as x."""
    gate, up = _column(x, p["mlp.gate_proj.weight"]), _column(x, p["mlp.up_proj.weight"])
    return _row(jax.nn.silu(gate) * up, p["mlp.down_proj.weight"], endings)


def _column(x: Array, weight: Array) -> Array:
    """x: [batch, seq, in], weight: [out, in] by rows → [batch, seq, out], cut as its rows are."""
    return jnp.einsum("bsi,oi->bso", x, weight)


def _row(y: Array, weight: Array, endings: Endings) -> Array:
    """y: [batch, seq, in] cut, weight: [out, in] by columns → [batch, seq, out]: partial sums, added up."""
    return jnp.einsum("bsi,oi->bso", y, weight, out_sharding=endings.whole)


def _norm(x: Array, weight: Array, config: LlamaConfig) -> Array:
    """RMSNorm of [batch, seq, hidden]."""
    wide = x.astype(_at_least_float32(x))
    scale = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + config.rms_norm_eps)
    return (wide * scale).astype(x.dtype) * weight


def _rotated(x: Array, cos: Array, sin: Array) -> Array:
    """x: [batch, seq, …, d], each pair (i, i + d/2) turned by its angle. Hugging Face's layout."""
    left, right = jnp.split(x, 2, axis=-1)
    return x * cos + jnp.concatenate([-right, left], axis=-1) * sin


def _at_least_float32(x: Array) -> jnp.dtype:
    """Norms and softmax of halves are computed in float32, as everywhere in the course."""
    return jnp.promote_types(x.dtype, jnp.float32)
