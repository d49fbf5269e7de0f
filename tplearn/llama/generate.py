"""Text, token by token, with a KV cache on each rank: every rank chooses the same tokens."""

from collections.abc import Callable

import torch
from torch import Tensor

from tplearn.llama.model import Llama
from tplearn.parallel import KVCache


@torch.inference_mode()
def generate(
    model: Llama,
    input_ids: Tensor,
    max_new_tokens: int = 32,
    *,
    temperature: float | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    eos: tuple[int, ...] | None = None,
    on_token: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """input_ids: [batch, prompt], the same on every rank → [batch, prompt + up to max_new_tokens].

    Greedy, or with `temperature` drawn from the likeliest tokens whose probabilities reach `top_p` (Holtzman et al.
    2020, nucleus sampling). All ranks have the same logits to the last bit, and draw with the same seed: so they agree.
    A text that has reached one of `eos` (None: the model's own; (): none) is filled up with it, and when all have,
    generation ends. `on_token` gets each step's tokens, [batch].

    Raises ValueError for a prompt that is empty or, with the new tokens, longer than the model allows.
    """
    batch, prompt = input_ids.shape
    _require(model, prompt, max_new_tokens, temperature, top_p)
    ends = torch.tensor(model.config.eos_token_id if eos is None else eos, dtype=torch.long, device=input_ids.device)
    generator = torch.Generator(device=input_ids.device).manual_seed(seed)
    caches = [KVCache(prompt + max_new_tokens) for _ in model.layers]
    ended = torch.zeros(batch, dtype=torch.bool, device=input_ids.device)
    texts, new = [input_ids], input_ids
    for _ in range(max_new_tokens):
        logits = model(new, caches, last=True)[:, -1]  # [batch, vocab]
        tokens = logits.argmax(-1) if temperature is None else sample(logits, temperature, top_p, generator)
        if len(ends):
            tokens = torch.where(ended, ends[0], tokens)
            ended |= torch.isin(tokens, ends)
        texts.append(new := tokens[:, None])
        if on_token:
            on_token(tokens)
        if ended.all():
            break
    return torch.cat(texts, dim=1)


def sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """logits: [batch, vocab] → [batch] tokens, drawn from the fewest likeliest ones that have `top_p` together."""
    probabilities = (logits.double() / temperature).softmax(-1)
    probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities.masked_fill(before >= top_p, 0)
    return order.gather(-1, torch.multinomial(probabilities, 1, generator=generator)).squeeze(-1)


def _require(model: Llama, prompt: int, new: int, temperature: float | None, top_p: float) -> None:
    limit = model.config.max_position_embeddings
    if prompt < 1 or new < 1 or prompt + new > limit:
        raise ValueError(
            f"a prompt of {prompt} tokens and {new} new ones do not work; "
            f"at least one each, and up to {limit} together, do"
        )
    if model.sequence_parallel:
        raise ValueError("a model with sequence_parallel cannot generate: one token cannot be cut; without it works")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature = {temperature} does not work; numbers above 0 do, and None for greedy")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p = {top_p} is no share; numbers above 0 up to 1 work")
