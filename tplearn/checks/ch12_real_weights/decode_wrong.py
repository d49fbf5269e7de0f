"""Wrong answers to exercise 12.4: caches, what goes into the model, how the word is chosen, and when a text ends."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.llama import Llama
from tplearn.parallel import KVCache

LENGTH = 64


def wrong_decode(model: Llama, input_ids: Tensor, new_tokens: int, eos: int, wrong: str) -> Tensor:
    """Greedy text, with one thing `wrong`."""
    caches = _caches(model, input_ids, wrong)
    text, new, ended = input_ids, input_ids, torch.zeros(len(input_ids), 1, dtype=torch.bool)
    if wrong == "end in the prompt":
        ended = (input_ids == eos).any(1, True)
    finished = input_ids.shape[1] + new_tokens + 1
    steps = new_tokens + {"a step too few": -1, "a step too many": 1}.get(wrong, 0)
    for _ in range(steps):
        if wrong == "new caches at each step":
            caches = [KVCache(LENGTH) for _ in model.layers]
        best = _chosen(model, text if wrong in WHOLE_TEXT else new, caches, wrong)
        if wrong == "words of rank 0 sent":
            dist.broadcast(best, src=0)
        fill = 0 if wrong == "filled with 0" else eos
        new = best if wrong in GO_ON else best.masked_fill(ended, fill)
        now = ended | (new == eos)
        if wrong == "end token left out" and now.all():
            break
        text = torch.cat([text, new], dim=1)
        ended = (new == eos) if wrong == "ended now" else now
        if wrong in ("cut afterwards", "own words, in step") and ended.all():
            finished = min(finished, text.shape[1])
        elif wrong != "no early stop" and _stops(ended, wrong):
            break
    text = text[:, :finished]
    return text[:, input_ids.shape[1] :] if wrong == "prompt left out" else text


WHOLE_TEXT = ("whole text again at each step", "old tokens again into the cache")
GO_ON = ("ended texts go on", "ended now")


def _caches(model: Llama, input_ids: Tensor, wrong: str) -> list[KVCache] | None:
    if wrong == "whole text again at each step":
        return None
    if wrong == "one cache for all layers":
        return [KVCache(LENGTH)] * len(model.layers)
    if wrong == "caches for the prompt only":
        return [KVCache(input_ids.shape[1]) for _ in model.layers]
    return [KVCache(LENGTH) for _ in model.layers]


def _chosen(model: Llama, ids: Tensor, caches: list[KVCache] | None, wrong: str) -> Tensor:
    """[batch, 1]: the next word of each text."""
    if wrong in ("best of a rank's own words", "own words, in step"):
        own = model.lm_head(model.hidden(ids, caches)[:, -1])
        return own.argmax(-1, keepdim=True) + model.embed_tokens.start
    logits = model(ids, caches) if wrong == "logits of the whole prompt gathered" else model(ids, caches, last=True)
    if wrong == "drawn, not chosen":
        return torch.multinomial(logits[:, -1].softmax(-1), 1)
    if wrong == "least likely word":
        return logits[:, -1].argmin(-1, keepdim=True)
    return logits[:, -1].argmax(-1, keepdim=True)


def _stops(ended: Tensor, wrong: str) -> bool:
    if wrong == "asks the others whether to stop":
        votes = ended.all().long()
        dist.all_reduce(votes)
        return int(votes) == dist.get_world_size()
    return bool(ended.any() if wrong == "first end ends all" else ended.all())
