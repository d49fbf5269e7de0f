"""Exercise 12.4: greedy text from a model that is cut over ranks, until every text has ended."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.decode_mutants import MUTANTS
from tplearn.checks.ch12_real_weights.drive import TALKATIVE, of_a_model, random_model
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.llama import Llama
from tplearn.parallel import KVCache

NEW, NEVER = 6, -1


def greedy_decode(model: Llama, input_ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    """input_ids: [batch, prompt] → [batch, prompt + steps]; after its eos a text is filled up with eos."""
    caches = [KVCache(input_ids.shape[1] + new_tokens) for _ in model.layers]
    text, new, ended = input_ids, input_ids, torch.zeros(len(input_ids), 1, dtype=torch.bool)
    for _ in range(new_tokens):
        best = model(new, caches, last=True)[:, -1].argmax(-1, keepdim=True)  # [batch, 1]
        new = best.masked_fill(ended, eos)
        text, ended = torch.cat([text, new], dim=1), ended | (new == eos)
        if ended.all():  # the same on every rank
            break
    return text


def _cases(generator: Generator) -> list[Case]:
    """Models and end tokens for which no text ends, some do while others go on, or all do before the last step."""
    kinds = ((1, "some"), (2, "none"), (2, "some"), (2, "all"), (4, "some"))
    labels = {"none": "no text ends", "some": "", "all": "all texts end early"}
    cases = []
    for tp, kind in kinds:
        ids, eos, seed = next(filter(None, (_drawn(generator, kind) for _ in iter(int, 1))))
        cases.append(Case(tp, (ids, NEW, eos, seed), label=labels[kind]))
    return cases


@torch.inference_mode()
def _drawn(generator: Generator, kind: str) -> tuple[Tensor, int, int] | None:
    """A prompt, an end token and a model's seed of that kind; None where this draw has none."""
    ids = torch.randint(TALKATIVE.vocab_size, (3, pick(generator, 3, 5)), generator=generator)
    seed = pick(generator, 0, 999_999)
    written = greedy_decode(random_model(seed), ids, NEW + 2, NEVER)[:, ids.shape[1] :]
    for eos in range(TALKATIVE.vocab_size):
        ends = [(text == eos).nonzero().flatten().tolist() for text in written]
        steps = [found[0] if found else NEW for found in ends]
        early = [step for step in steps if step < NEW - 1]
        goes_on = any(bool((text[step + 1 :] != eos).any()) for text, step in zip(written, steps, strict=True))
        at_once = bool((written[:, :NEW] == eos).all(0).any())  # who asks for that would stop there too
        in_prompt = any(eos in prompt and step > 0 for prompt, step in zip(ids.tolist(), steps, strict=True))
        of_kind = {
            "none": min(steps) == NEW,
            "some": 0 < len(early) < 3 and max(steps) == NEW and in_prompt,
            "all": len(early) == 3 and len(set(steps)) > 1 and not at_once,
        }
        if of_kind[kind] and (goes_on or kind == "none"):
            return ids, eos, seed
    return None


GREEDY_DECODE = Exercise(
    number="12.4",
    name="greedy_decode",
    points=15,
    difficulty=2,
    minutes=15,
    reference=greedy_decode,
    cases=_cases,
    observe=of_a_model,
    ranks=True,
    mutants=MUTANTS,
)
