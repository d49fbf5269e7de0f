"""Small random models made by transformers: the judge of tplearn.llama."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.qwen2 import modeling_qwen2

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "max_position_embeddings": 256}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# name: (class, what differs, tensor-parallel sizes)
MODELS = {
    "llama3 scaling, 8 heads, 2 KV heads": (
        LlamaForCausalLM,
        LlamaConfig(**SIZES, num_attention_heads=8, num_key_value_heads=2, vocab_size=131, rope_parameters=LLAMA3),
        (1, 2, 4, 8),
    ),
    "llama, 9 heads, 3 KV heads, tied": (
        LlamaForCausalLM,
        LlamaConfig(
            **SIZES | {"hidden_size": 72, "intermediate_size": 99},
            num_attention_heads=9,
            num_key_value_heads=3,
            vocab_size=100,
            tie_word_embeddings=True,
        ),
        (1, 3),
    ),
    "qwen2, biases, tied, 2 KV heads": (
        Qwen2ForCausalLM,
        Qwen2Config(**SIZES, num_attention_heads=8, num_key_value_heads=2, vocab_size=257, tie_word_embeddings=True),
        (1, 2, 4, 8),
    ),
    "qwen2, biases, untied, as many KV heads": (
        Qwen2ForCausalLM,
        Qwen2Config(**SIZES, num_attention_heads=4, num_key_value_heads=4, vocab_size=128),
        (1, 2, 4),
    ),
    "llama, head_dim given": (
        LlamaForCausalLM,
        LlamaConfig(**SIZES, num_attention_heads=4, num_key_value_heads=2, head_dim=24, vocab_size=90),
        (1, 2, 4),
    ),
}


def make(name: str, seed: int, dtype: torch.dtype) -> PreTrainedModel:
    """The model, with large biases and uneven norms, so that every one of them shows."""
    kind, config, _ = MODELS[name]
    torch.manual_seed(seed)
    config.initializer_range = 0.2
    model = kind(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) / 2)
    return model


def save(model: PreTrainedModel, folder: Path, **how: object) -> Path:
    """The folder that transformers writes."""
    model.save_pretrained(folder, **how)
    return folder


@contextmanager
def exact_norms() -> Iterator[None]:
    """transformers' norm rounds to float32 on its way, also in float64: a judge in float64 must not."""

    def exact(norm: torch.nn.Module, x: Tensor) -> Tensor:
        return torch.nn.functional.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)

    classes = (modeling_llama.LlamaRMSNorm, modeling_qwen2.Qwen2RMSNorm)
    kept = [cls.forward for cls in classes]
    for cls in classes:
        cls.forward = exact
    try:
        yield
    finally:
        for cls, forward in zip(classes, kept, strict=True):
            cls.forward = forward
