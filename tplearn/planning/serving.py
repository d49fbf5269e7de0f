"""Seconds of serving: prefill, which computes, and decode, which reads. One tp group holds the model.

| | prefill | decode, one token for each sequence of the batch |
|---|---|---|
| compute | FLOPs / tp | hidden by the reading until the batch is large |
| reading | hidden | weights / tp and the KV cache of this rank, over the memory's bandwidth |
| collectives | 2 all-reduces a layer and one for the embedding, of [tokens, hidden] | the same, of [batch, hidden] |
| what no rank divides | – | `layer_seconds` for each layer |

So decode is a / p + c: the reading shrinks with tp, the rest does not (gpt-fast's README shows it on 1 to 8 GPUs).
"""

from dataclasses import dataclass

from tplearn.planning.activations import BYTES
from tplearn.planning.flops import forward_flops
from tplearn.planning.hardware import Accelerator
from tplearn.planning.links import collective_seconds, link_of
from tplearn.planning.memory import (
    check_positive,
    kv_cache_bytes,
    kv_heads_per_rank,
    max_sequences,
    parameter_breakdown,
)
from tplearn.planning.models import ModelShape


@dataclass(frozen=True)
class PrefillTime:
    """Seconds until the prompts of a batch are read."""

    compute: float
    collectives: float

    @property
    def total(self) -> float:
        """Both, for they wait for each other."""
        return self.compute + self.collectives


@dataclass(frozen=True)
class DecodeTime:
    """Seconds of one decode step by part. Of the weights' reading and the computing only the longer counts."""

    weights: float
    compute: float
    kv_cache: float
    layers: float
    collectives: float
    batch: int

    @property
    def total(self) -> float:
        """Seconds of a step: a token for each sequence."""
        return max(self.weights, self.compute) + self.kv_cache + self.layers + self.collectives

    @property
    def tokens_per_second(self) -> float:
        """Of the whole batch."""
        return self.batch / self.total


def prefill_time(shape: ModelShape, accelerator: Accelerator, tp: int, batch: int, prompt: int) -> PrefillTime:
    """Reading `batch` prompts of `prompt` tokens at once, in bf16. The head computes one token's logits for each.

    Raises ValueError where tp does not cut the model, or a size is not above 0.
    """
    check_positive(batch=batch, prompt=prompt)
    kv_heads_per_rank(shape, tp)
    flops = forward_flops(shape, batch * prompt, prompt, causal=True)
    flops["head"] /= prompt
    return PrefillTime(
        compute=sum(flops.values()) / tp / accelerator.matmul_flops,
        collectives=_collectives(shape, accelerator, tp, batch * prompt),
    )


def decode_time(
    shape: ModelShape,
    accelerator: Accelerator,
    tp: int,
    batch: int,
    context: int,
    bytes_per_parameter: float = 2,
    bytes_per_value: float = 2,
) -> DecodeTime:
    """One token for each of `batch` sequences that have `context` tokens already. Matmuls are bf16.

    Of an untied embedding only the rows of `batch` words are read. Raises ValueError where tp does not cut the model,
    or a number is not above 0.
    """
    check_positive(batch=batch, context=context, bytes_per_parameter=bytes_per_parameter)
    parts = parameter_breakdown(shape, tp)
    read = sum(parts.values()) - (0 if shape.tie_word_embeddings else parts["embedding"])
    cache = kv_cache_bytes(shape, tp, batch, context, bytes_per_value)
    return DecodeTime(
        weights=read * bytes_per_parameter / accelerator.read_bandwidth,
        compute=sum(forward_flops(shape, batch, context).values()) / tp / accelerator.matmul_flops,
        kv_cache=cache / accelerator.read_bandwidth,
        layers=shape.num_hidden_layers * accelerator.layer_seconds,
        collectives=_collectives(shape, accelerator, tp, batch),
        batch=batch,
    )


def max_batch(shape: ModelShape, accelerator: Accelerator, tp: int, context: int, fraction: float = 0.9) -> int:
    """Sequences of `context` tokens whose KV cache fits beside the weights, in `fraction` of the memory (vLLM's 0.9).

    Raises ValueError where tp does not cut the model, or a number is not above 0.
    """
    return max_sequences(shape, tp, context, int(accelerator.memory * fraction))


def _collectives(shape: ModelShape, accelerator: Accelerator, tp: int, tokens: int) -> float:
    """Seconds of 2 all-reduces a layer and one for the embedding, each of [tokens, hidden] in bf16."""
    size, link = BYTES * tokens * shape.hidden_size, link_of(accelerator, tp)
    return (2 * shape.num_hidden_layers + 1) * collective_seconds("all_reduce", size, tp, link)
