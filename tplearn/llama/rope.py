"""Rotary positions of Llama 3.1 and later: slow frequencies are stretched, so that longer texts fit into few turns."""

import math

import torch
from torch import Tensor

from tplearn.llama.config import LlamaConfig
from tplearn.parallel.rotary import rotary_frequencies, rotary_tables


def frequencies(config: LlamaConfig) -> Tensor:
    """[head_dim/2] radians a token, float32.

    With llama3 scaling, by wavelength w = 2π / frequency, in tokens of the text the model was first trained on (L):
    w < L / high keeps its frequency, w > L / low is divided by `factor`, and between the two a share s of it is kept,
    s = (L / w − low) / (high − low): (1 − s) · frequency / factor + s · frequency. Meta's `apply_scaling`.
    """
    plain = rotary_frequencies(config.head_dim, config.rope_theta)
    scaling = config.rope_scaling
    if scaling is None:
        return plain
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    turns = float(scaling.original_max_position_embeddings) / (2 * math.pi / plain)  # L / w
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * plain / scaling.factor + kept * plain


def tables(frequencies: Tensor, start: int, stop: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of positions start to stop, [stop − start, head_dim] each, of the device and dtype of `like`."""
    positions = torch.arange(start, stop, device=like.device)
    cos, sin = rotary_tables(positions, 2 * len(frequencies), frequencies=frequencies)
    return cos.to(like.dtype), sin.to(like.dtype)
