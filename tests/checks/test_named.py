"""Misconceptions are named however they are written: answers in other spellings than the mutants' own."""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.checks.answers import ch11, ch12
from tests.checks.told import judged
from tplearn.checks import find_exercise
from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.parallel import copy_to_group, gather_sequence, reduce_from_group, reduce_scatter_sequence

Shards = list[Tensor]


def reduced_and_narrowed(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    n, rank = x.shape[1], dist.get_rank()
    y = reduce_from_group(F.gelu(gather_sequence(x) @ up.T) @ down.T)
    return x + y.narrow(1, rank * n, n) * keep.narrow(1, rank * n, n) / 0.75


def own_tokens_alone(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    own = keep.tensor_split(dist.get_world_size(), 1)[dist.get_rank()]
    return x + F.linear(F.gelu(F.linear(x, up)), down).mul(own).div(0.75)


def four_and_thirty(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> float:
    return s * b * h * (4 + 30 / tp) if sp else s * b * h * (4 * v + 2 + 12 * v / tp)


def thirty_four(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    return 34 * s * b * h // tp if sp else s * b * h * (4 * v + 2) + 12 * v * s * b * h // tp


def checkpointed(x: Tensor, weight: Tensor) -> Tensor:
    return checkpoint(lambda x: gather_sequence(x) @ weight.T, x, use_reentrant=False)


def stacked_then_sliced(file: CountingFile, parameter: str, sizes: tuple, rank: int, p: int) -> Tensor:
    if parameter != "qkv_proj":
        return ch12.by_hand(file, parameter, sizes, rank, p)
    whole = {name: file.get_tensor(name) for name in ("q_proj", "k_proj", "v_proj")}
    return ch12.by_hand(CountingFile(whole), parameter, sizes, rank, p)


def equal_rows(file: CountingFile, parameter: str, sizes: tuple, rank: int, p: int) -> Tensor:
    if parameter != "qkv_proj":
        return ch12.by_hand(file, parameter, sizes, rank, p)
    size = {name: file.get_slice(name).get_shape()[0] // p for name in ("q_proj", "k_proj", "v_proj")}
    return torch.cat([file.get_slice(name)[rank * n : rank * n + n] for name, n in size.items()])


def joined_copies(qkv: Shards, words: Shards, sizes: tuple, vocab_size: int, p: int) -> list[Shards]:
    """Keys of all ranks in a row, cut by heads; and the words rightly."""
    (heads, kv_heads, d), old = sizes, len(qkv)
    kv = max(1, kv_heads // old) * d
    q, k, v = (torch.cat(part) for part in zip(*(s.split([heads * d // old, kv, kv]) for s in qkv), strict=True))
    new = []
    for rank in range(p):
        own = heads * d // p
        runs = [slice(h * d, h * d + d) for h in ch12.rank_of_kv(rank, p, kv_heads)]
        new.append(torch.cat([q[rank * own : (rank + 1) * own], *(k[run] for run in runs), *(v[run] for run in runs)]))
    return [new, ch12.by_heads(qkv, words, sizes, vocab_size, p)[1]]


def compared_with_all_words(x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
    logits = cap * torch.tanh(copy_to_group(x) @ weight_shard.T / cap)
    return torch.where(torch.arange(len(weight_shard)) < vocab_size, logits, -torch.inf)


def both_mistakes(qkv: Shards, words: Shards, sizes: tuple, vocab_size: int, p: int) -> list[Shards]:
    return [joined_copies(qkv, words, sizes, vocab_size, p)[0], ch12.padding_kept(qkv, words, sizes, vocab_size, p)[1]]


def half_normed_late(x: Tensor, w: ch11.Weights) -> Tensor:
    norm_1, norm_2 = ch11.through_f(w)
    h = x + reduce_scatter_sequence(ch11.attention(gather_sequence(ch11.norm(x, norm_1)), w))
    return h + reduce_scatter_sequence(ch11.mlp(ch11.norm_by_hand(gather_sequence(h), norm_2), w))


NAMED = [
    ("sp_mlp", reduced_and_narrowed, "all-reduce, then a slice"),
    ("sp_mlp", own_tokens_alone, "nothing sent forward"),
    ("activation_bytes", four_and_thirty, "4 + 30 over t"),
    ("activation_bytes", thirty_four, "34 over t"),
    ("regather_linear", checkpointed, "checkpoint"),
    ("sp_block", ch11.norms_of_all_tokens_by_hand, "norm of gathered tokens"),
    ("sp_block", half_normed_late, "norm of gathered tokens"),
    ("parallel_logits", compared_with_all_words, "local numbers for words"),
    ("gradient_norm", ch11.copies_on_rank_0, "copies on rank 0 only"),
    ("read_shard", stacked_then_sliced, "q, k and v whole"),
    ("read_shard", equal_rows, "KV rows cut evenly"),
    ("reshard", joined_copies, "copies joined"),
    ("reshard", ch12.padding_kept, "old padding left in"),
    ("reshard", ch12.all_copies_kept, "copies taken for heads"),
    ("reshard", both_mistakes, "copies joined"),
]


# On one worker for each exercise, whose cases are made once.
IN_GROUPS = [
    pytest.param(*row, id=f"{row[0]}-{row[1].__name__}", marks=pytest.mark.xdist_group(row[0])) for row in NAMED
]


@pytest.mark.parametrize(("exercise", "answer", "name"), IN_GROUPS)
def test_a_misconception_is_named_in_another_spelling(exercise: str, answer: Callable, name: str) -> None:
    verdict = judged(find_exercise(exercise), answer)
    assert not verdict.passed and verdict.misconception == name, str(verdict)


STATES = {
    "partial": "R",
    "inner": "R",
    "reduced": "P",
    "y": "P",
    "read": "P",
    "normed": "P",
    "norm weight": "S(0)",
    "gradient of read": "R",
    "gradient of norm weight": "R",
}


@pytest.mark.parametrize(("name", "state"), STATES.items(), ids=STATES)
def test_a_wrong_state_of_one_tensor_is_named(name: str, state: str) -> None:
    """Alone, and where another tensor of a later group is wrong too."""

    def one_wrong(*sizes: int) -> dict:
        table = ch11.states_as_lists(*sizes)
        return table | {name: (state, {"norm weight": [sizes[2] // sizes[4]]}.get(name, table[name][1]))}

    def two_wrong(*sizes: int) -> dict:
        return {"gradient of norm weight": ("R", [sizes[2]])} | one_wrong(*sizes)

    exercise = find_exercise("block_states")
    for answer in (one_wrong, two_wrong):
        verdict = judged(exercise, answer)
        assert verdict.misconception is not None, str(verdict)
        assert name in verdict.look_at, str(verdict)
