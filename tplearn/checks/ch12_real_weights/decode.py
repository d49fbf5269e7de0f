"""Exercise 12.4: greedy text from a model that is cut over ranks: the prompt at once, then one token a step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import forward
from tplearn.llama import Llama, LlamaConfig
from tplearn.parallel import KVCache

WORDS, LAYERS, NEW = 37, 2, 5


def greedy_decode(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    """input_ids: [batch, prompt] → [batch, prompt + new_tokens]."""
    caches = [KVCache(input_ids.shape[1] + new_tokens) for _ in model.layers]
    text, new = input_ids, input_ids
    for _ in range(new_tokens):
        new = model(new, caches, last=True)[:, -1].argmax(-1, keepdim=True)  # [batch, 1]
        text = torch.cat([text, new], dim=1)
    return text


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, prompt in ((2, 4), (4, 3), (1, 4)):
        ids = torch.randint(WORDS, (3, prompt), generator=generator)
        seed = int(torch.randint(1000, (1,), generator=generator))
        cases.append(Case(tp, (ids, NEW, seed)))
    return cases


@torch.inference_mode()
def of_a_model(fn: Callable[..., Any], input_ids: Tensor, new_tokens: int, seed: int) -> dict[str, Any]:
    """The answer's text, with a random model whose choices depend much on what stands before."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=WORDS,
        max_position_embeddings=64,
        initializer_range=0.6,
    )
    model = Llama(config)
    return forward(lambda ids, new: fn(model, ids, new), input_ids, new_tokens)


def _without_cache(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    text = input_ids
    for _ in range(new_tokens):
        text = torch.cat([text, model(text, last=True)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return text


def _new_caches(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    text, new = input_ids, input_ids
    for _ in range(new_tokens):
        caches = [KVCache(input_ids.shape[1] + new_tokens) for _ in model.layers]
        new = model(new, caches, last=True)[:, -1].argmax(-1, keepdim=True)
        text = torch.cat([text, new], dim=1)
    return text


def _own_words(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    caches = [KVCache(input_ids.shape[1] + new_tokens) for _ in model.layers]
    text, new = input_ids, input_ids
    for _ in range(new_tokens):
        logits_shard = model.lm_head(model.hidden(new, caches)[:, -1])
        new = logits_shard.argmax(-1, keepdim=True) + model.embed_tokens.start
        text = torch.cat([text, new], dim=1)
    return text


def _whole_text_into_the_cache(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    text = input_ids
    caches = [KVCache(64) for _ in model.layers]
    for _ in range(new_tokens):
        text = torch.cat([text, model(text, caches, last=True)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return text


def _all_logits(model: Llama, input_ids: Tensor, new_tokens: int) -> Tensor:
    caches = [KVCache(input_ids.shape[1] + new_tokens) for _ in model.layers]
    text, new = input_ids, input_ids
    for _ in range(new_tokens):
        new = model(new, caches)[:, -1].argmax(-1, keepdim=True)
        text = torch.cat([text, new], dim=1)
    return text


GREEDY_DECODE = Exercise(
    number="12.4",
    name="greedy_decode",
    points=15,
    difficulty=2,
    minutes=12,
    reference=greedy_decode,
    cases=_cases,
    observe=of_a_model,
    ranks=True,
    mutants=(
        Mutant(
            "whole text again at each step",
            _without_cache,
            "The text is right. You computed all of it again for each new token, so each all-reduce carries as many "
            "tokens as the text has, where 1 is due after the first step. The caches are there to be filled and read.",
            "the ledger: the bytes of the all-reduces after the first step.",
        ),
        Mutant(
            "new caches at each step",
            _new_caches,
            "You made new caches in each step. The new token then stands at position 0 and sees nothing but itself: "
            "the first word is right, and all others are guessed from one word. The caches live as long as the text.",
            "where the caches are made: before the loop.",
        ),
        Mutant(
            "best of a rank's own words",
            _own_words,
            "Each rank chose among its own words. The ranks then go on with different texts, and their all-reduces add "
            "up parts of different models' thoughts. No collective complains: the shapes are equal. The argmax goes "
            "over the whole vocabulary, as model(...) returns it.",
            "the shape of the logits before argmax: [batch, 1, vocab].",
        ),
        Mutant(
            "old tokens again into the cache",
            _whole_text_into_the_cache,
            "You gave the model the whole text and the caches of it. It takes what you give for what comes next, so "
            "every old token stands in the cache once more for each step, at later positions. After the prompt "
            "only the new token goes in.",
            "the first argument of model(...) after the first step: [batch, 1].",
        ),
        Mutant(
            "logits of the whole prompt gathered",
            _all_logits,
            "The text is right. You had the logits of every token of the prompt gathered and used those of the last: "
            "prompt · vocabulary numbers on the wire where vocabulary is enough. last=True takes the last token before "
            "the head.",
            "the ledger: the bytes of the first all_gather.",
        ),
    ),
)
