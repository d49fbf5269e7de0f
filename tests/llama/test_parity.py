"""The same folder, read by transformers on one rank and by tplearn on many: the same logits, the same text."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.llama.on_ranks import logits_and_text, sampled
from tests.llama.peer import MODELS, exact_norms, make, save
from tplearn import run_ranks
from tplearn.llama import Llama, generate

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_logits_and_greedy_text(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    judge = make(name, random.randrange(1 << 30), dtype)
    folder = save(judge, tmp_path)
    ids = torch.randint(judge.config.vocab_size, (2, 12))
    with exact_norms(), torch.no_grad():
        due = judge(ids).logits
        greedy = {"max_new_tokens": 64, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        prompt = ids[:, :7]  # without the mask transformers would take every word 0 for padding
        text = judge.generate(prompt, attention_mask=torch.ones_like(prompt), **greedy)
    near = TOLERANCE[dtype] * due.abs().max()
    sizes = MODELS[name][2]
    for tp in sizes if dtype == torch.float64 else sizes[-1:]:
        values = run_ranks(logits_and_text, tp, folder, dtype, ids, 7, record=False).values
        for whole, *more in values:
            assert torch.equal(whole, values[0][0])  # to the last bit
            assert (whole - due).abs().max() < near, tp
            assert torch.corrcoef(torch.stack([whole.flatten(), due.flatten()]).double())[0, 1] > 0.999999
            shared = shared_words(whole, due, min(100, due.shape[-1] // 2))
            assert shared == 1 or (dtype == torch.float32 and shared > 0.99)  # two that lie close may change places
            if more:
                assert (more[0] - whole).abs().max() < near, tp
                assert torch.equal(more[1], text), tp


def shared_words(logits: Tensor, due: Tensor, k: int) -> float:
    """How many of each token's k likeliest words are the same, in any order: a share of all."""
    own, other = (t.topk(k, -1).indices for t in (logits, due))
    return (own[..., :, None] == other[..., None, :]).any(-1).double().mean().item()


def drawn(tp: int, *how: object) -> list[Tensor]:
    """Every rank's text. (The recorder, which takes its time with each operator, is not what is tested here.)"""
    return run_ranks(sampled, tp, *how, record=False).values


def test_all_ranks_draw_the_same_tokens_at_every_size(tmp_path: Path) -> None:
    folder = save(make("qwen2, biases, tied, 2 KV heads", 0, torch.float32), tmp_path)
    ids = torch.randint(257, (3, 5))
    texts = [text for tp in (1, 2, 4) for text in drawn(tp, folder, ids, 7, 0.8, 0.9)]
    assert all(torch.equal(text, texts[0]) for text in texts)
    assert not torch.equal(texts[0], drawn(2, folder, ids, 8, 0.8, 0.9)[0])
    greedy = drawn(2, folder, ids, 7, 1e-6, 1.0)[0]
    assert torch.equal(greedy, drawn(2, folder, ids, 3, 5.0, 1e-9)[0])  # one word has top_p alone


def test_a_text_that_has_ended_is_filled_up(tmp_path: Path) -> None:
    folder = save(make("llama, head_dim given", 1, torch.float32), tmp_path)
    model = Llama.from_pretrained(folder)
    ids = torch.randint(90, (4, 3))
    free = generate(model, ids, 40, eos=())
    end = int(free[0, 8])  # a word that the first text comes to by itself
    first = 3 + int((free[0, 3:] == end).nonzero()[0])
    text = generate(model, ids, 40, eos=(end,))
    assert torch.equal(text[0, : first + 1], free[0, : first + 1])
    assert (text[0, first:] == end).all()
