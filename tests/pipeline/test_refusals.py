"""What pipelines refuse: ties, too few layers or micro-batches, stages of another schedule, gradients from before."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tests.pipeline.on_ranks import CONFIG, texts, whole_model
from tplearn import run_ranks
from tplearn.pipeline.engine import Pipeline, make_schedule
from tplearn.pipeline.stages import Part, layer_ranges, stages_of


def said(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return "fine"


def on_two_ranks() -> list[str]:
    model, tied = whole_model(1), whole_model(1, config=replace(CONFIG, tie_word_embeddings=True))
    windows = texts(1)[0]
    ids, targets = windows[:, :-1], windows[:, 1:]
    pipe = Pipeline(model, "GPipe", 4)
    pipe.step(ids, targets)
    fresh = Pipeline(whole_model(1), "GPipe", 3)
    return [
        said(lambda: stages_of(tied)),
        said(lambda: stages_of(model, "Interleaved1F1B", stages_per_rank=3)),
        said(lambda: stages_of(model, "1FB")),
        said(lambda: Pipeline(model, "1F1B", 1)),
        said(lambda: make_schedule("ZBVZeroBubble", stages_of(model, "LoopedBFS"), 4, torch.add)),
        said(lambda: fresh.step(ids, targets)),
        said(lambda: fresh.step(ids[0], targets[0])),
        said(lambda: fresh.step(ids, None)),
        said(lambda: pipe.step(ids, targets)),
    ]


def test_what_cannot_be_is_refused_on_every_rank() -> None:
    values = run_ranks(on_two_ranks, 2, record=False).values
    for rank, told in enumerate(values):
        assert told == [
            "tie_word_embeddings = True: the first and the last stage would each train their own copy of one table; a "
            "model with tie_word_embeddings = False works",
            "layers = 5 cannot make 6 stages of at least one; up to 5 stages work",
            "schedule = '1FB' is not known; names that work: 1F1B",
            "micro_batches = 1 are fewer than the 2 stages of 1F1B; 2 and more work",
            f"ZBVZeroBubble with stages {[rank, rank + 2]} on rank {rank} of 2; stages {[rank, 3 - rank]} work there",
            "batch = 8 does not divide by micro_batches = 3; multiples of 3 work",
            "input_ids of shape (6,); [batch, seq] works",
            "targets = None is not a tensor; a torch.Tensor works",
            "the gradients of an earlier step are still there; zero_grad() before each step works",
        ]


def with_one_stage() -> float:
    """A tie within one stage is no copy."""
    windows = texts(1)[0]
    tied = whole_model(1, config=replace(CONFIG, tie_word_embeddings=True))
    return Pipeline(tied, "1F1B", 2).step(windows[:, :-1], windows[:, 1:]).item()


def test_one_stage_may_be_tied() -> None:
    assert 0 < run_ranks(with_one_stage, 1).values[0] < 20


def test_layers_that_do_not_divide_are_taken_off_the_ends() -> None:
    assert layer_ranges(7, 3) == [(0, 2), (2, 5), (5, 7)]
    assert layer_ranges(32, 4) == [(0, 8), (8, 16), (16, 24), (24, 32)]
    of_llama_3 = layer_ranges(126, 16)
    assert of_llama_3 == layer_ranges(126, 16, (7, *[8] * 14, 7))
    assert of_llama_3[:2] == [(0, 7), (7, 15)] and of_llama_3[-1] == (119, 126)
    for layers in range(1, 12):
        for stages in range(1, layers + 1):
            ranges = layer_ranges(layers, stages)
            sizes = [stop - start for start, stop in ranges]
            assert [n for start, stop in ranges for n in range(start, stop)] == list(range(layers))
            assert max(sizes) - min(sizes) <= 1
    for sizes in ((2, 2), (2, 2, 2), (5, 0)):
        with pytest.raises(ValueError, match="2 sizes that add up to 5 work|a stage's layers = 0 is not a size"):
            layer_ranges(5, 2, sizes)


def test_a_text_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="65 tokens are more than the model allows: up to 64 work"):
        Part(whole_model(1), 0, 1)(torch.zeros(1, 65, dtype=torch.long))
