"""Text, token by token, with a KV cache on each rank: every rank chooses the same tokens."""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from tplearn.llama.files import GENERATION
from tplearn.llama.model import Llama
from tplearn.parallel import KVCache


@torch.inference_mode()
def generate(
    model: Llama,
    input_ids: Tensor,
    max_new_tokens: int = 32,
    *,
    temperature: float | None = None,
    top_p: float | None = None,
    repetition_penalty: float | None = None,
    seed: int = 0,
    eos: tuple[int, ...] | None = None,
    on_token: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """input_ids: [batch, prompt], the same on every rank → [batch, prompt + up to max_new_tokens].

    Greedy, or with `temperature` drawn from the likeliest tokens whose probabilities reach `top_p` (None: all; Holtzman
    et al. 2020, nucleus sampling). All ranks have the same logits to the last bit, and draw with the same seed: so they
    agree. A text that has reached one of `eos` (None: the model's own; (): none) is filled up with the model's padding
    token, or the first of `eos`, and when all have, generation ends. `repetition_penalty` (None: the model's own)
    divides what speaks for a token that the text already has. `on_token` gets each step's tokens, [batch].

    What else the model's generation_config.json asks for is not done, and warned of.

    Raises ValueError for a prompt that is empty or, with the new tokens, longer than the model allows.
    """
    settings = model.generation_config
    penalty = settings.repetition_penalty if repetition_penalty is None else repetition_penalty
    _require(model, input_ids, max_new_tokens, temperature, top_p, penalty)
    not_done = settings.not_done(temperature is not None, top_p)
    if not_done and model.place.rank == 0:
        warnings.warn(f"{GENERATION} asks for {', '.join(not_done)}, which is not done here", stacklevel=2)
    batch, prompt = input_ids.shape
    vocabulary = range(model.config.vocab_size)
    stops = [token for token in (settings.eos_token_id if eos is None else eos) if token in vocabulary]
    ends = torch.tensor(stops, dtype=torch.long, device=input_ids.device)
    filler = next((token for token in (settings.pad_token_id, *stops) if token in vocabulary), 0)
    generator = torch.Generator(device=input_ids.device).manual_seed(seed)
    caches = [KVCache(prompt + max_new_tokens) for _ in model.layers]
    ended = torch.zeros(batch, dtype=torch.bool, device=input_ids.device)
    texts, new = [input_ids], input_ids
    for _ in range(max_new_tokens):
        logits = model(new, caches, last=True)[:, -1]  # [batch, vocab]
        if penalty != 1:
            logits = penalise(logits, torch.cat(texts, dim=1), penalty)
        tokens = logits.argmax(-1) if temperature is None else sample(logits, temperature, top_p or 1.0, generator)
        if len(ends):
            tokens = torch.where(ended, filler, tokens)
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


def penalise(logits: Tensor, text: Tensor, penalty: float) -> Tensor:
    """logits: [batch, vocab], text: [batch, tokens] → logits less in favour of tokens that the text has.

    A positive logit is divided by `penalty`, a negative one multiplied: Keskar et al. 2019, section 4.1.
    """
    known = logits.gather(-1, text)
    return logits.scatter(-1, text, torch.where(known < 0, known * penalty, known / penalty))


def _require(
    model: Llama, input_ids: Tensor, new: int, temperature: float | None, top_p: float | None, penalty: float
) -> None:
    if input_ids.ndim != 2:
        raise ValueError(f"input_ids of shape {tuple(input_ids.shape)}; shape that works: [batch, prompt]")
    prompt = input_ids.shape[1]
    if prompt < 1 or new < 1 or prompt + new > model.config.max_length:
        raise ValueError(
            f"a prompt of {prompt} tokens and {new} new ones do not work; "
            f"at least one each, and up to {model.config.limit} together, do"
        )
    if model.sequence_parallel:
        raise ValueError("a model with sequence_parallel cannot generate: one token cannot be cut; without it works")
    if temperature is not None and not 0 < temperature < math.inf:
        raise ValueError(f"temperature = {temperature} does not work; numbers above 0 do, and None for greedy")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p = {top_p} is no share; numbers above 0 up to 1 work")
    if top_p is not None and temperature is None:
        raise ValueError(f"top_p = {top_p} has no say in greedy text; with a temperature, such as 1.0, it works")
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty = {penalty} does not work; numbers above 0 do, and 1 for none")
