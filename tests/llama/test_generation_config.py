"""What generation_config.json asks for: transformers' own text where it is done, and a warning where it is not."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.llama.folders import GONE, IDS, Edit, all_of, config, generation, remove, text, theirs, write_model
from tests.llama.on_ranks import greedy
from tplearn import run_ranks
from tplearn.llama import GenerationConfig, Llama, generate

FREE = 14  # new tokens
GENERATION = "generation_config.json"


def written_by_transformers(folder: Path) -> Tensor:
    asked = {"attention_mask": torch.ones_like(IDS), "max_new_tokens": FREE, "do_sample": False}
    return theirs(folder).generate(IDS, **asked)


def ends_soon(folder: Path) -> int:
    """A token that the first text comes to by itself, but not at once, and the second not, or later."""
    free = generate(Llama.from_pretrained(folder), IDS, FREE, eos=())[:, IDS.shape[1] :]
    first, second = free.tolist()
    return next(token for token in first[2:] if token not in first[:2] and token not in second[:4])


# Each: the changes that make it, given a token that a text comes to.
ENDS = {
    "as it is": lambda _: lambda folder: None,
    "one": lambda end: generation(eos_token_id=end),
    "a list": lambda end: generation(eos_token_id=[2, end]),
    "a list, the end first": lambda end: generation(eos_token_id=[end, 2]),
    "config.json says another": lambda end: all_of(generation(eos_token_id=2), config(eos_token_id=end)),
    "the file says none": lambda end: all_of(generation(eos_token_id=GONE), config(eos_token_id=end)),
    "the file says null": lambda end: all_of(generation(eos_token_id=None), config(eos_token_id=end)),
    "no file": lambda end: all_of(remove(GENERATION), config(eos_token_id=end)),
    "no file, a list": lambda end: all_of(remove(GENERATION), config(eos_token_id=[5, end])),
    "no file, no end": lambda _: all_of(remove(GENERATION), config(eos_token_id=GONE)),
    "outside of the vocabulary": lambda end: generation(eos_token_id=[9000, end], pad_token_id=7),
    "below 0": lambda end: generation(eos_token_id=[-1, end], pad_token_id=7),
    "padding": lambda end: generation(eos_token_id=end, pad_token_id=7),
    "padding of config.json": lambda end: all_of(remove(GENERATION), config(eos_token_id=[end, 3], pad_token_id=7)),
    "a penalty": lambda _: generation(repetition_penalty=1.5),
    "a small penalty": lambda end: generation(repetition_penalty=0.6, eos_token_id=end),
    "a penalty in config.json": lambda _: all_of(remove(GENERATION), config(repetition_penalty=1.3)),
    "sampling that nobody asked for here": lambda _: generation(do_sample=True, temperature=0.6, top_p=0.9, top_k=5),
    "a cache of another kind": lambda _: generation(use_cache=False, cache_implementation="static"),
    "a length": lambda _: generation(max_length=20, max_new_tokens=3),
}


@pytest.mark.parametrize("change", ENDS.values(), ids=ENDS)
def test_the_text_of_transformers(change, tmp_path: Path) -> None:  # noqa: ANN001
    write_model(tmp_path)
    change(ends_soon(tmp_path))(tmp_path)
    due = written_by_transformers(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(generate(Llama.from_pretrained(tmp_path), IDS, FREE), due)


def test_these_texts_differ(tmp_path: Path) -> None:
    write_model(tmp_path)
    free = generate(Llama.from_pretrained(tmp_path), IDS, FREE)
    for name in ("one", "padding", "a penalty", "a small penalty"):
        write_model(tmp_path)
        ENDS[name](ends_soon(tmp_path))(tmp_path)
        assert not torch.equal(generate(Llama.from_pretrained(tmp_path), IDS, FREE), free), name


def test_on_ranks_and_as_the_caller_says(tmp_path: Path) -> None:
    write_model(tmp_path)
    free = generate(Llama.from_pretrained(tmp_path), IDS, FREE)
    generation(repetition_penalty=1.5, eos_token_id=ends_soon(tmp_path))(tmp_path)
    due = written_by_transformers(tmp_path)
    assert all(torch.equal(own, due) for own in run_ranks(greedy, 2, tmp_path, IDS, FREE, record=False).values)
    model = Llama.from_pretrained(tmp_path)
    assert torch.equal(generate(model, IDS, FREE, repetition_penalty=1.0, eos=()), free)


NOT_DONE: dict[str, object] = {
    "num_beams": 4,
    "min_new_tokens": 3,
    "min_length": 15,
    "no_repeat_ngram_size": 2,
    "suppress_tokens": [5],
    "bad_words_ids": [[5]],
    "forced_eos_token_id": 5,
    "sequence_bias": [[[5], -9.0]],
    "stop_strings": ["."],
    "guidance_scale": 1.5,
    "penalty_alpha": 0.6,
}


@pytest.mark.parametrize("name", NOT_DONE)
def test_what_is_not_done_is_told(name: str, tmp_path: Path) -> None:
    write_model(tmp_path)
    generation(**{name: NOT_DONE[name]})(tmp_path)
    with pytest.warns(UserWarning, match=f"{GENERATION} asks for {name} = .*, which is not done here"):
        generate(Llama.from_pretrained(tmp_path), IDS, 1)


def test_what_has_a_say_in_drawn_texts_only(tmp_path: Path) -> None:
    write_model(tmp_path)
    generation(do_sample=True, temperature=0.6, top_p=0.9, top_k=20, min_p=0.0, num_beams=1, min_length=0)(tmp_path)
    model = Llama.from_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(model, IDS, 1)
    with pytest.warns(UserWarning, match=r"asks for top_k = 20, top_p = 0.9, which") as told:
        generate(model, IDS, 1, temperature=0.6)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=r"asks for top_k = 20, which"):
        generate(model, IDS, 1, temperature=0.6, top_p=0.9)


def test_saving_keeps_all_of_it(tmp_path: Path) -> None:
    write_model(tmp_path / "first")
    change: Edit = generation(
        eos_token_id=[2, 9], pad_token_id=7, repetition_penalty=1.2, top_k=20, suppress_tokens=[5]
    )
    change(tmp_path / "first")
    model = Llama.from_pretrained(tmp_path / "first")
    model.save_pretrained(tmp_path / "second")
    assert Llama.from_pretrained(tmp_path / "second").generation_config == model.generation_config
    first, second = (theirs(tmp_path / name).generation_config for name in ("first", "second"))
    assert first == second and second.top_k == 20
    text(GENERATION, "{}")(tmp_path / "first")  # no end, though config.json has one
    Llama.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    assert GenerationConfig.from_folder(tmp_path / "second").eos_token_id == ()
    assert theirs(tmp_path / "second").generation_config.eos_token_id is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"temperature": 0}, "temperature = 0 does not work; numbers above 0 do, and None for greedy"),
        ({"temperature": float("nan")}, "temperature = nan does not work"),
        ({"temperature": float("inf")}, "temperature = inf does not work"),
        ({"top_p": 0.5}, "top_p = 0.5 has no say in greedy text; with a temperature, such as 1.0, it works"),
        ({"top_p": 2, "temperature": 1.0}, "top_p = 2 is no share; numbers above 0 up to 1 work"),
        ({"top_p": 0, "temperature": 1.0}, "top_p = 0 is no share"),
        ({"repetition_penalty": 0}, "repetition_penalty = 0 does not work; numbers above 0 do, and 1 for none"),
    ],
    ids=lambda value: " ".join(map(str, value.items())) if isinstance(value, dict) else "",
)
def test_wishes_that_cannot_be(asked: dict, said: str, tmp_path: Path) -> None:
    write_model(tmp_path)
    model = Llama.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=said):
        generate(model, IDS, 1, **asked)
    with pytest.raises(ValueError, match=r"input_ids of shape \(12,\); shape that works: \[batch, prompt\]"):
        generate(model, IDS[0], 1)
