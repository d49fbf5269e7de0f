"""A mistake is told where it is made: not as that of an answer that makes it everywhere, and at a place with a name."""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from tests.checks.told import judged, told
from tplearn.checks import find_exercise
from tplearn.checks.ch06_backward.wires import joined, own, pair, summed
from tplearn.simulated import Ledger, Ring

COLUMN, RING, GATHER, HEADS, DECODE = map(
    find_exercise,
    ("column_parallel", "ring_all_reduce", "gather_from_group", "heads_of_rank", "decode_with_cache"),
)
LAYER, PROGRAM = map(find_exercise, ("ColumnLinear", "table_column"))
Shards = list[Tensor]


def test_who_sends_nothing_is_not_told_of_messages() -> None:
    def joined_by_hand(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
        weight, bias = torch.cat(weight_shards), torch.cat(bias_shards)
        return [x @ weight.T + bias for x in xs]

    said = told(COLUMN, joined_by_hand)
    assert "ran no collective, where 1 × all_gather" in said and "gathered the weights" not in said


def test_a_cost_that_is_right_elsewhere_is_told_by_its_case() -> None:
    whole_tensors = next(mutant for mutant in RING.mutants if mutant.name == "whole tensors round the ring")

    def chunks_where_they_divide(tensors: Shards, ring: Ring) -> Shards:
        divides = tensors[0].numel() % ring.world_size == 0
        return (RING.reference if divides else whole_tensors.answer)(tensors, ring)

    assert "a remainder of" in told(RING, chunks_where_they_divide)


def test_a_failure_that_comes_with_one_kind_of_case_is_not_that_of_all() -> None:
    def whole_gradient_from_the_end(x: Tensor, dim: int) -> Tensor:
        back = (lambda grad: grad) if dim < 0 else (lambda grad: own(grad, dim))
        return pair(lambda x: joined(x, dim), back)(x)

    verdict = judged(GATHER, whole_gradient_from_the_end)
    assert not verdict.passed and verdict.misconception == "negative dim taken for 0", str(verdict)


def test_a_number_is_that_of_a_rank_or_of_a_step() -> None:
    def one_more(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> tuple:
        heads, (start, stop) = HEADS.reference(num_heads, num_kv_heads, rank, world_size)
        return heads, (start, stop + (rank == 1))

    def later_steps_doubled(x: Tensor, qkv: Tensor, o: Tensor, cos: Tensor, sin: Tensor, k: Tensor, v: Tensor) -> tuple:
        y, keys, values = DECODE.reference(x, qkv, o, cos, sin, k, v)
        return y * (1 + (k.shape[2] > 0)), keys, values

    assert "your result[1][1] for rank 1 is" in told(HEADS, one_more)
    assert "rank 0's result of step 2 " in told(DECODE, later_steps_doubled)


def test_a_hook_on_a_layers_input_is_told() -> None:
    class Hooked(LAYER.reference):
        def forward(self, x: Tensor) -> Tensor:
            x.register_hook(lambda grad: summed(grad, self.group))
            return torch.nn.functional.linear(x, self.weight, self.bias)

    assert "your layer put a hook on its input." in told(LAYER, Hooked)


def test_local_rank_is_told_and_not_waited_for() -> None:
    def joins_as_local_rank(row: Tensor) -> None:
        dist.init_process_group("gloo", rank=int(os.environ["LOCAL_RANK"]), world_size=int(os.environ["WORLD_SIZE"]))

    assert "rank = 0 is this process's LOCAL_RANK, its number on its machine" in told(PROGRAM, joins_as_local_rank)


def test_parts_that_are_missing_are_told_first() -> None:
    def only_y(x: Tensor, qkv: Tensor, o: Tensor, cos: Tensor, sin: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return DECODE.reference(x, qkv, o, cos, sin, k, v)[0]

    assert "your function returned one value, where three are due: y, keys and values." in told(DECODE, only_y)
