"""What a wrong answer is told, and that nothing an answer does can freeze or fool the check."""

import dataclasses
import itertools
import os
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tplearn.checks import check, find_exercise, judge
from tplearn.checks.clues import clues
from tplearn.checks.compare import Opaque, first_difference
from tplearn.checks.leaf import Leaf
from tplearn.checks.observe import plain
from tplearn.checks.traffic import Traffic
from tplearn.ranks import Row
from tplearn.simulated import Ledger, all_gather

ROW = dataclasses.replace(find_exercise("row_parallel"), timeout=2.0)
SPLIT = find_exercise("split_columns")
PLAN = find_exercise("linear_by_plan")
COLUMN = find_exercise("column_parallel")
Shards = list[Tensor]


def loops(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    while True:
        pass


def dies(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    os._exit(0)


def exits(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    sys.exit(3)


def changes_its_input(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    y = ROW.reference(xs, weights, biases, ledger)
    with torch.no_grad():
        weights[0] += 1
    return y


def forgets_a_list_item(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return ROW.reference(xs, weights, [biases.pop(0), *biases], ledger)


def float32(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [y.float() for y in ROW.reference(xs, weights, biases, ledger)]


def integers(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [y.long() for y in ROW.reference(xs, weights, biases, ledger)]


def not_finite(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [y / 0 * 0 for y in ROW.reference(xs, weights, biases, ledger)]


class EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def equal_to_everything(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> object:
    return EqualToAll()


def nothing(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> None:
    print("I was here")


def slightly_off(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [
        y + 1e-8 * y.abs().max() for y in ROW.reference(xs, weights, biases, ledger)
    ]  # every entry, also a small one


def cut_graph(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [y.detach() for y in ROW.reference(xs, weights, biases, ledger)]


def wrong_gradient(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [y + weights[0].sum() - weights[0].detach().sum() for y in ROW.reference(xs, weights, biases, ledger)]


def raises(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Tensor:
    return xs[7]


def reads_the_list(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    ys = all_gather([x @ weight.T for x, weight in zip(xs, weights, strict=True)], -1, ledger=ledger)
    return [y + torch.cat(biases) for y in ys]


VERDICTS = [
    (loops, "time limit", "within the time limit"),
    (dies, "exited", "ended before it returned"),
    (exits, "exited", "called sys.exit(3), which ends the process"),
    (changes_its_input, "wrong", "changed weight_shards in place"),
    (forgets_a_list_item, "wrong", "changed biases in place"),
    (float32, "wrong", "is float32, where float64 is due"),
    (integers, "wrong", "holds int64, where float64 is due: the fractions are lost"),
    (not_finite, "wrong", "is not finite at [0, 0, 0]: yours is nan"),
    (equal_to_everything, "wrong", "is of type EqualToAll (not a tensor, number, string, list or dict)"),
    (nothing, "wrong", "your result is None, where a list of 2 is due"),
    (slightly_off, "wrong", "your result[0] first differs at [0, 0, 0]"),
    (cut_graph, "wrong", "ends the autograd graph"),
    (wrong_gradient, "wrong", "the gradient of weight_shards[0] first differs at [0, 0]"),
    (raises, "error", "your function raised IndexError: list index out of range"),
]


@pytest.mark.parametrize(("answer", "status", "sentence"), VERDICTS, ids=[answer.__name__ for answer, *_ in VERDICTS])
def test_whatever_an_answer_does_there_is_a_verdict(answer: Callable, status: str, sentence: str) -> None:
    verdict = judge(ROW, answer)
    text = str(verdict)
    assert verdict.status == status and verdict.earned == 0 and verdict.misconception is None, text
    assert sentence in " ".join(text.split()), text
    assert text.splitlines()[0].endswith("0/10")


def test_the_stub_of_another_exercise_is_told_apart_from_the_answers_own() -> None:
    def of(text: str) -> Callable:
        def answer(*args: Shards, ledger: Ledger) -> Shards:
            raise NotImplementedError(text)

        return answer

    for own in ("your turn: row_parallel", "your turn", ""):
        assert judge(ROW, of(own)).status == "not attempted"
    verdict = judge(ROW, of("your turn: split_rows"))
    assert verdict.status == "error" and verdict.earned == 0
    assert "row_parallel ran into the stub of split_rows" in " ".join(str(verdict).split())
    assert judge(ROW, of("no such case")).explanation.startswith("On tp = ")


def test_an_error_names_the_line_of_the_answer() -> None:
    assert "return xs[7]" in str(judge(ROW, raises))


def test_prints_are_shown_only_when_the_answer_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def talks(*args: Shards, ledger: Ledger) -> Shards:
        print("x" * 100_000)
        return ROW.reference(*args, ledger)

    assert str(judge(ROW, talks)) == str(judge(ROW, ROW.reference))
    failing = str(judge(ROW, nothing))
    assert "Your function printed:" in failing and "I was here" in failing
    assert capfd.readouterr().out == "", "nothing reaches the notebook but the verdict"


def test_a_seed_repeats_the_inputs_and_is_shown_on_failure() -> None:
    first, again, other = (str(judge(ROW, slightly_off, seed)) for seed in (5, 5, 6))
    assert first == again != other and "check(row_parallel, seed=5)" in first


def test_the_voice_of_a_known_misconception() -> None:
    mutant = next(mutant for mutant in ROW.mutants if mutant.name == "bias × tp")
    lines = str(judge(ROW, mutant.answer, seed=1)).splitlines()
    assert lines[0] == "row_parallel   forward ✗  gradient ✗  ledger ✓   tp 1 ✓  2 ✗  3 ✗  4 ✗      0/10"
    assert lines[1].startswith("  Your result minus the truth is (tp − 1) · bias.")
    assert "  Look at: where the bias enters, before or after the all-reduce." in lines


def test_a_right_result_with_the_wrong_ledger_is_told_in_collectives() -> None:
    def twice(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
        PLAN.reference(xs, weight, bias, plan, x_is_cut, ledger)
        return PLAN.reference(xs, weight, bias, plan, x_is_cut, ledger)

    verdict = judge(PLAN, twice)
    assert verdict.aspects == {"forward": True, "gradient": True, "ledger": False}
    assert "rank 0 of your function ran 2 × all_gather" in verdict.explanation


def test_a_tensor_read_from_another_rank_is_told_with_its_owner() -> None:
    def right_in_another_way(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        together = torch.stack(biases)  # each rank's result is made from its own row: the gradient of others is zero
        sums = ROW.reference(xs, weights, [torch.zeros_like(bias) for bias in biases], ledger)
        return [y + together[rank] for rank, y in enumerate(sums)]

    assert judge(ROW, right_in_another_way).passed
    verdict = judge(COLUMN, reads_the_list)
    assert not verdict.passed and verdict.aspects["ledger"] is False
    assert verdict.sizes == {1: True, 2: False, 3: False, 4: False}
    assert "rank 1 read bias_shards[0], which lies in rank 0's memory" in " ".join(str(verdict).split())


def test_a_ledger_of_the_same_bytes_in_another_form_is_right() -> None:
    exercise = find_exercise("two_groups")
    assert judge(exercise, lambda x: exercise.reference(x[None]).squeeze(1)).status == "passed"


def row(op: str, nbytes: int = 8, rank: int = 0, **more: object) -> Row:
    return Row(rank, 0, op, **{"group": (0, 1), "bytes": nbytes} | more)


@pytest.mark.parametrize(
    ("rule", "got", "want", "says"),
    [
        (
            Traffic(),
            [row("all_reduce", 16)],
            [row("all_reduce")],
            "(16 bytes), where 1 × all_reduce (8",
        ),
        (Traffic(), [row("send", peer=1), row("send", peer=1)], [row("send", 16, peer=1)], "ran 2 × send (16 bytes)"),
        (Traffic(), [row("send", rank=1, peer=0)], [row("send", peer=1)], "rank 1 of your function ran 1 × send"),
        (Traffic(), [], [row("all_reduce")], None),
        (Traffic(), [row("reduce_scatter", 8), row("recv", 99)], [row("all_reduce", 8)], None),
        (Traffic(), [row("reduce_scatter", 8), row("all_gather", 4)], [row("all_reduce", 8)], None),
        (Traffic(), [row("all_gather", 4), row("all_gather", 4)], [row("all_gather", 8)], "ran 2 × all_gather"),
        (Traffic(), [row("all_reduce", 99, group=(0,))], [], None),
        (Traffic(bytes_only=True), [row("send", 4, peer=1)] * 2, [row("send", peer=1)], None),
        (
            Traffic(bytes_only=True),
            [row("send", 24, peer=1)],
            [row("send", peer=1)],
            "24 bytes, 16 too many",
        ),
        (
            Traffic(exact=True),
            [row("all_reduce", reduce_op="MAX")],
            [row("all_reduce", reduce_op="SUM")],
            "(MAX",
        ),
        (Traffic(exact=True), [row("all_reduce", group=(0, 1))], [row("all_reduce", group=(0, 2))], "group [0, 1]"),
        (
            Traffic(ops=frozenset({"send"})),
            [row("all_reduce", 1)],
            [row("send", peer=1)],
            "only send may be used",
        ),
    ],
)
def test_what_was_sent_is_judged_by_cost(rule: Traffic, got: list[Row], want: list[Row], says: str | None) -> None:
    complaint = rule.complaint(got, want)
    assert complaint is None if says is None else says in (complaint or ""), complaint


def test_a_misconception_is_named_also_when_bad_sizes_are_refused() -> None:
    def wrong_dim_but_careful(weight: Tensor, world_size: int) -> Shards:
        if weight.shape[-2] % world_size:
            raise ValueError("no")
        return list(weight.chunk(world_size, dim=-1))

    verdict = judge(SPLIT, wrong_dim_but_careful)
    assert verdict.misconception == "wrong dim" and verdict.aspects == {"forward": False, "refusal": True}


def test_a_result_where_an_error_is_due_shows_no_misconception_about_other_cases() -> None:
    def leaves_the_rest_to_the_last(weight: Tensor, world_size: int) -> Shards:
        cuts = [rank * (weight.shape[-2] // world_size) for rank in range(1, world_size)]
        return list(weight.tensor_split(cuts, dim=-2))

    verdict = judge(SPLIT, leaves_the_rest_to_the_last)
    assert verdict.aspects == {"forward": True, "refusal": False} and verdict.misconception == "padded"


ODD = [torch.ones(shape) for shape in ((), (0,), (1,), (3,), (3, 1), (2, 3), (3, 2), (2, 3, 2), (0, 3))]
ODD += [ODD[5] * factor for factor in (0.0, float("nan"), float("inf"), 1j)] + [
    ODD[5].long(),
    ODD[5].bool(),
    ODD[4].double(),
]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_clues_are_looked_for_in_tensors_of_any_shape(ranks: int) -> None:
    for got, want in itertools.product(ODD, repeat=2):
        leaf = Leaf(ranks, [got, ODD[4], got][:ranks], [want] * ranks, {"x": [got], "y": [want] * ranks})
        assert len(clues([leaf, leaf])) <= 2


def test_shards_in_reverse_order_and_of_another_shape_are_seen() -> None:
    def reverse(weight: Tensor, world_size: int) -> Shards:
        return SPLIT.reference(weight, world_size)[::-1]

    def wider(weight: Tensor, world_size: int) -> Shards:
        return [shard.repeat_interleave(2, dim=-1) for shard in SPLIT.reference(weight, world_size)]

    assert "in reverse order" in str(judge(SPLIT, reverse))
    assert "has shape" in str(judge(SPLIT, wider))


def test_a_misconception_about_what_to_refuse_is_named_in_any_wording() -> None:
    def tests_the_other_size(weight: Tensor, world_size: int) -> Shards:
        if weight.shape[-1] % world_size:
            raise ValueError(f"{weight.shape[-1]} inputs, {world_size} ranks")
        return list(weight.tensor_split(world_size, dim=-2))

    assert judge(SPLIT, tests_the_other_size).misconception == "other size tested"


def test_another_error_than_the_due_one_is_no_refusal() -> None:
    def divides_by_zero(weight: Tensor, world_size: int) -> Shards:
        even = weight.shape[-2] % world_size == 0
        return list(weight.chunk(world_size, dim=-2)) if even else [weight / (1 // 0)]

    assert "raised ZeroDivisionError" in str(judge(SPLIT, divides_by_zero))


def test_check_finds_the_exercise_by_name_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SPLIT.reference) is None
    assert capsys.readouterr().out.startswith("split_columns   forward ✓  refusal ✓")

    def split_column(weight: Tensor) -> None: ...

    with pytest.raises(ValueError, match="no exercise is called 'split_column'.*split_columns"):
        check(split_column)
    with pytest.raises(ValueError, match="the function itself"):
        check("split_columns")


def test_numbers_are_shown_with_as_many_digits_as_tell_them_apart() -> None:
    assert first_difference(18.9999999, 18).how == "is 18.9999999, where 18 is due"
    assert first_difference(2.5, 3).how == "is 2.5, where 3 is due"
    assert "is complex64, where float32 is due" in first_difference(ODD[8] * 1j, ODD[8]).how


def test_values_are_compared_in_kind_and_in_depth() -> None:
    ones = torch.ones(2, dtype=torch.float64)
    assert first_difference(plain({"a": [1, (2.0, ones)]}), plain({"a": (1, [2.0, ones.clone()])})) is None
    assert first_difference(plain(ones), plain(torch.nn.Parameter(ones))) is None
    assert first_difference(3, 3.0) is None and first_difference(3.0, 3) is None
    pairs = [
        (3.5, 3),
        (10**11, 10**11 + 1),
        (True, 1),
        (None, 0),
        ("a", "b"),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (ones[:1], ones),
    ]
    pairs += [(ones.to(torch.bool), ones), (ones.long(), ones.bool()), (1 + 1e-9, 1.0), (Opaque("X"), ones), (ones, 1)]
    for got, want in pairs:
        assert first_difference(got, want), (got, want)
    assert first_difference([ones, {"b": ones * 2}], [ones, {"b": ones}]).path == (1, "b")
    infinite = torch.tensor([float("-inf"), float("nan"), 1.0], dtype=torch.float64)
    assert first_difference(infinite, infinite.clone()) is None


def leaf(got: Tensor, want: Tensor, **inputs: Tensor) -> Leaf:
    """On one of several ranks, of which nothing else is known."""
    return Leaf(2, [got], [want], {name: [value] for name, value in inputs.items()})


ROWS = torch.arange(84.0).view(42, 2).sin()
MASKED = torch.tensor([[0.1, -torch.inf], [-torch.inf, 0.3]])
ONCE = torch.tensor([[0.1, 0.7, 0.2], [0.9, 0.3, 0.4]])
SPOTS = [
    (
        [leaf(ROWS[[*range(12), *range(18, 24), *range(12, 18), *range(24, 42)]], ROWS), leaf(ROWS[[1, 0]], ROWS[:2])],
        "On tp = 2: Yours is the right one in another order along dim 0: 0–11, 18–23, 12–17, 24–41.",
    ),
    ([leaf(MASKED.nan_to_num(neginf=-9.0), MASKED)], "Yours is wrong only where −∞ is due"),
    ([leaf(ONCE + (ONCE > 0.6), ONCE, z=ONCE)] * 2, "Yours is wrong only at the largest number of each row of z"),
    ([leaf(ROWS.double() * 3**0.5, ROWS.double())] * 2, "Yours is 1.73205 times the right one, which is √3."),
    ([leaf(torch.tensor(0.0), torch.tensor(5.0))], "Yours is zero."),
]


@pytest.mark.parametrize(("leaves", "says"), SPOTS, ids=[says.split(":")[0] for _, says in SPOTS])
def test_a_clue_says_which_entries_are_wrong_and_how(leaves: list[Leaf], says: str) -> None:
    assert any(clue.startswith(says) for clue in clues(leaves)), clues(leaves)


def test_entries_that_are_wrong_elsewhere_too_give_no_such_clue() -> None:
    everywhere = [leaf(ONCE + 1 + ONCE.square(), ONCE, z=ONCE), leaf(MASKED.nan_to_num(neginf=-9.0) + 1, MASKED)]
    assert not any("only" in clue for of in everywhere for clue in clues([of]))


def test_cases_of_one_label_name_no_misconception_that_several_would_share() -> None:
    """Without f and without a gather the second all-reduce may be anything."""

    def two_at_least(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> list[tuple[str, int]]:
        y, h = ("all_reduce", 4 * tokens * hidden), ("all_gather", 4 * tokens * ffn // tp)
        return [] if tp == 1 else [y, y] if not fs and not gathered else [h, *[y] * (3 * fs), h, h]

    verdict = judge(find_exercise("mlp_ledger"), two_at_least)
    assert not verdict.passed and verdict.misconception is None, str(verdict)


def test_a_mistake_in_one_parameter_is_not_told_as_one_in_all() -> None:
    layer = find_exercise("ColumnLinear")
    first_shard, first_bias = (
        next(mutant for mutant in layer.mutants if mutant.name == f"first shard {whose}on every rank")
        for whose in ("", "of the bias ")
    )
    alone = dataclasses.replace(layer, mutants=(first_shard,))
    assert judge(alone, first_bias.answer, seed=3).misconception is None
    assert judge(alone, first_shard.answer, seed=3).misconception == first_shard.name
