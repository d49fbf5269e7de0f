"""What is told beside a wrong value: a product of the arguments, the kind of case, the bill, a gradient that is cut."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.checks.told import judged, told
from tplearn.checks import find_exercise
from tplearn.checks.beside import other_entries
from tplearn.checks.clues import clues
from tplearn.checks.leaf import Leaf
from tplearn.planning.models import ModelShape
from tplearn.simulated import Ledger, all_gather, all_reduce

NORM = find_exercise("mesh_norm")
COUNT, WEIGHTS, CACHE = map(find_exercise, ("parameter_count", "weight_bytes_per_rank", "kv_cache_bytes"))
BYTES, PLAN, COLUMN = map(find_exercise, ("mlp_communication_bytes", "linear_by_plan", "column_parallel"))
SPLIT, ROWS, RESHARD = map(find_exercise, ("split_columns", "split_rows", "reshard_gate_up"))
ROW, SAMPLE, RING = map(find_exercise, ("row_parallel", "sample_word", "ring_all_reduce"))
ROTARY, READ = map(find_exercise, ("to_hugging_face_rotary", "read_shard"))
Shards = list[Tensor]


def down_twice(shape: ModelShape) -> int:
    more = shape.num_hidden_layers * shape.hidden_size * shape.intermediate_size
    return COUNT.reference(shape) + more


def rows_twice(shape: ModelShape, tp: int, bytes_per_parameter: int) -> int:
    cut = shape.num_hidden_layers * shape.hidden_size * shape.intermediate_size // tp
    return WEIGHTS.reference(shape, tp, bytes_per_parameter) - (cut - cut // tp) * bytes_per_parameter


def of_the_layers_hidden(shape: ModelShape, tp: int, lengths: list[int], block: int, bytes_per_value: int) -> float:
    return CACHE.reference(shape, tp, lengths, block, bytes_per_value) * shape.vocab_size / shape.head_dim


def with_x(tokens: int, hidden: int, ffn: int, world_size: int, bytes_per_number: int, training: bool) -> int:
    right = BYTES.reference(tokens, hidden, ffn, world_size, bytes_per_number, training)
    return right + (training and hidden * ffn // world_size * bytes_per_number)


@pytest.mark.parametrize(
    ("exercise", "answer", "says"),
    [
        (COUNT, down_twice, "too large by hidden_size · intermediate_size · num_hidden_layers"),
        (WEIGHTS, rows_twice, "bytes_per_parameter · (tp − 1) / tp²"),
        (CACHE, of_the_layers_hidden, "Yours is vocab_size / head_dim times the right one."),
        (
            BYTES,
            with_x,
            "too large by hidden · ffn · bytes_per_number / tp. Only this kind of case is wrong: training.",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_number_is_told_as_a_product_of_the_arguments(exercise: object, answer: Callable, says: str) -> None:
    assert says in told(exercise, answer)


def test_a_few_small_numbers_are_no_product() -> None:
    leaves = [
        Leaf(1, [torch.tensor(float(want + n))], [torch.tensor(float(want))], {}, {"bytes": n})
        for want, n in ((7, 2), (9, 4), (12, 2))
    ]
    assert not clues(leaves)


def test_the_only_kind_of_case_that_is_wrong_is_named() -> None:
    def halved(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
        ys = PLAN.reference(xs, weight, bias, plan, x_is_cut, ledger)
        return [y.tanh() for y in ys] if plan == "row" and x_is_cut and len(xs) > 1 else ys

    def refuses(shards: Shards, world_size: int) -> Shards:
        if len(shards) == 3 and world_size > 1 and shards[0].shape[1] < 9:
            raise ValueError("three are too many")
        return RESHARD.reference(shards, world_size)

    kind = 'Only this kind of case is wrong: plan = "row", x_is_cut = True. The others are right.'
    assert kind in told(PLAN, halved)
    text = told(RESHARD, refuses)
    assert "raised ValueError: three are too many, where a result is due" in text
    assert "Only this kind of case is wrong: from 3 shards. The others are right." in text


def test_a_wrong_bill_is_told_beside_a_wrong_value() -> None:
    def twice(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        sums = all_reduce(biases, ledger=ledger)
        return [y + 0.1 * z for y, z in zip(ROW.reference(xs, weights, biases, ledger), sums, strict=True)]

    def never(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        return [x @ w.T * 3 + b for x, w, b in zip(xs, weights, biases, strict=True)]

    assert "And rank 0 of your function ran 2 × all_reduce" in told(ROW, twice)
    assert "And your function ran no collective, where 1 × all_reduce" in told(ROW, never)


def test_a_gradient_of_zeros_is_told_with_what_can_cut_it() -> None:
    def detached(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        return ROW.reference(xs, [weight.detach() for weight in weights], biases, ledger)

    assert "Yours is zero everywhere. No gradient comes back" in told(ROW, detached)


def test_the_right_shard_of_a_joined_result_is_seen_on_every_tp() -> None:
    def doubled(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        shards = [x @ w.T + b for x, w, b in zip(xs, weights, biases, strict=True)]
        return all_gather([y * (1 + (rank > 0) * y) for rank, y in enumerate(shards)], -1, ledger=ledger)

    assert "The first size / tp along dim 2 are right, the others wrong." in told(COLUMN, doubled)


def test_the_wrong_dim_is_named_by_rows_where_its_own_size_is_refused() -> None:
    def outputs(weight: Tensor, world_size: int) -> Shards:
        if weight.shape[-2] % world_size:
            raise ValueError("some words of its own")
        return list(weight.chunk(world_size, dim=-2))

    assert judged(ROWS, outputs).misconception == "wrong dim, and its size tested"


def test_all_shards_of_an_argument_side_by_side_are_seen_in_a_difference() -> None:
    def bias_twice(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        shards = [x @ w.T + 2 * b for x, w, b in zip(xs, weights, biases, strict=True)]
        return all_gather(shards, -1, ledger=ledger)

    assert "Yours minus the right one is bias_shards." in told(COLUMN, bias_twice)


def test_none_where_an_error_is_due_is_no_shards() -> None:
    def silent(weight: Tensor, world_size: int) -> Shards | None:
        return list(weight.chunk(world_size, -2)) if weight.shape[-2] % world_size == 0 else None

    text = told(SPLIT, silent)
    assert "returned None, where a ValueError is due" in text


@pytest.mark.parametrize(("dim", "tested", "name"), [(1, 1, "dim from the front, and its size tested")])
def test_a_dim_counted_from_the_front_is_not_the_other_size(dim: int, tested: int, name: str) -> None:
    def counts_from_the_front(weight: Tensor, world_size: int) -> Shards:
        if weight.shape[tested] % world_size:
            raise ValueError("odd")
        return list(weight.chunk(world_size, dim))

    assert judged(SPLIT, counts_from_the_front).misconception == name


def test_ids_that_are_alike_in_one_case_only_name_no_mutant() -> None:
    def always_the_last_word(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
        SAMPLE.reference(logits_shard, noise, vocab_size)
        return torch.full(noise.shape[:1], vocab_size - 1)

    assert "rank 0's result first differs" in told(SAMPLE, always_the_last_word)


def test_alike_in_one_kind_of_case_and_wrong_elsewhere_names_no_mutant() -> None:
    across_heads = next(mutant for mutant in ROTARY.mutants if mutant.name == "across heads")

    def bias_across_heads(shard: Tensor, head_dim: int, rotary_dim: int) -> Tensor:
        return (across_heads.answer if shard.ndim == 1 else ROTARY.reference)(shard, head_dim, rotary_dim)

    assert "Only this kind of case is wrong: a bias. The others are right." in told(ROTARY, bias_across_heads)


def test_right_numbers_on_the_wrong_ranks_are_seen() -> None:
    def rotated_rows(shards: Shards, world_size: int) -> Shards:
        right = RESHARD.reference(shards, world_size)
        rows = torch.cat(right)
        return list(rows.roll(1, 0).split([len(shard) for shard in right])) if world_size > 1 else right

    assert "All ranks together have the right numbers, each as often as is due" in told(RESHARD, rotated_rows)


def test_a_dict_of_tensors_is_shown_by_sizes() -> None:
    def nothing(file: object, parameter: str, sizes: tuple[int, int, int], rank: int, world_size: int) -> Tensor:
        return 2 * READ.reference(file, parameter, sizes, rank, world_size)

    assert "tensors = {q_proj: " in told(READ, nothing)
    assert "tensor([" not in told(READ, nothing)


def test_a_wrong_type_of_a_single_number_is_told() -> None:
    def in_float32(tensors: Shards, ring: object) -> Shards:
        return [total.float() for total in RING.reference(tensors, ring)]

    assert "is float32, where float64 is due" in told(RING, in_float32)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("a", " Its other 6 entries are right."),
        ("ab", " Wrong there: a and b; the other 5 are right."),
        ("abcde", " Right there: f and g; the other 5 are wrong."),
        ("abcdefg", ""),
    ],
)
def test_which_named_entries_are_wrong_is_told(wrong: str, says: str) -> None:
    due = {name: torch.tensor(1.0) for name in "abcdefg"}
    mine = {name: value + (name in wrong) for name, value in due.items()}
    told_of = other_entries(mine, due, [])
    assert told_of == says
    assert other_entries([due, mine], [due, due], []) == told_of, "wrong on one rank of two"


def test_few_entries_and_numbered_ones() -> None:
    assert other_entries({"a": 1, "b": 2}, {"a": 1, "b": 3}, []) == "", "the sentence before has said it"
    due = {0: 1.0, 1: 1.0, 2: 1.0, "bias": 1.0}
    assert other_entries(due | {0: 2.0, "bias": 2.0}, due, ["x", "w", "v"]).startswith(" Wrong there: x and bias;")


def test_a_norm_that_misses_one_kind_of_gradient_is_told_which() -> None:
    def mesh_norm(gradients: list[Tensor], states: list, mesh: object) -> Tensor:
        kept = [0 * g if state == ("S", "R") else g for g, state in zip(gradients, states, strict=True)]
        return NORM.reference(kept, states, mesh)

    assert "Wrong there: S over dp, R over tp and all together; the other 7 are right." in told(NORM, mesh_norm)
