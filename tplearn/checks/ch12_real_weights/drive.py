"""How chapter 12's functions are watched: bytes read from a file, a model's text, own generators, two lists."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.observe import forward, plain
from tplearn.llama import Llama, LlamaConfig

PARAMETERS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "embed_tokens")
# Few words, and weights large enough that each choice depends much on what stands before.
TALKATIVE = LlamaConfig(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=11,
    max_position_embeddings=64,
    initializer_range=0.6,
)


def read_and_count(
    fn: Callable[..., Tensor], tensors: dict[str, Tensor], sizes: tuple[int, int, int]
) -> dict[str, Any]:
    """Each parameter from a file of its own: what came out, and how many bytes were read for it."""
    shards: dict[str, Any] = {}
    read: dict[str, int] = {}
    for parameter in PARAMETERS:
        file = CountingFile(tensors)
        shards[parameter] = plain(fn(file, parameter, tuple(sizes), dist.get_rank(), dist.get_world_size()))
        read[parameter] = file.bytes_read
    return {"forward": shards, "bytes read": read}


def random_model(seed: int) -> Llama:
    """A small Llama in float64, the same whatever the number of ranks; torch's own random numbers go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Llama(TALKATIVE).double()


@torch.inference_mode()
def of_a_model(fn: Callable[..., Any], input_ids: Tensor, new_tokens: int, eos: int, seed: int) -> dict[str, Any]:
    """The text that fn writes with a random model, cut over the ranks."""
    model = random_model(seed)
    return forward(lambda ids: fn(model, ids, new_tokens, eos), input_ids)


def with_own_generator(fn: Callable[..., Any], logits: Tensor, temperature: float, seed: int) -> dict[str, Any]:
    """Each rank has another generator."""
    own = torch.Generator().manual_seed(seed + dist.get_rank())
    return forward(lambda x, t: fn(x, t, own), logits, temperature)


def both_lists(fn: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """{"QKV", "words"}: the two lists apart, so that each is judged by itself."""
    seen = forward(fn, *args)
    result = seen.pop("forward")
    if not isinstance(result, list) or len(result) != 2:
        return {"QKV": result, "words": result} | seen
    return dict(zip(("QKV", "words"), result, strict=True)) | seen
