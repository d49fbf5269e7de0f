"""What can go wrong in a layer that is cut by plan: the mutants of 02.5."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from tplearn.checks.ch02_column_row.wrong import RANK_0_X, output_shards, products
from tplearn.checks.exercise import mutants_of
from tplearn.simulated import Ledger, all_gather, all_reduce, split

Shards = list[Tensor]


def linear(
    xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger, wrong: str = ""
) -> Shards:
    """The layer by plan, with one thing `wrong`."""
    if not x_is_cut and (wrong == "rank 0's x" or (wrong, plan) == ("rank 0's x in the row plan", "row")):
        xs = [xs[0]] * len(xs)
    if wrong == "plans swapped":
        plan = {"row": "column", "column": "row"}[plan]
    if wrong == "no collective":
        ledger = Ledger()
    if wrong == "cut x by rows" and x_is_cut:
        plan = "row"
    if (wrong == "dense" or (wrong, plan) == ("dense row", "row")) and not x_is_cut:
        return [x @ weight.T + bias for x in xs]
    by_plan = _column if plan == "column" else _row
    return by_plan(xs, weight, bias, x_is_cut, ledger, wrong)


def _column(xs: Shards, weight: Tensor, bias: Tensor, x_is_cut: bool, ledger: Ledger, wrong: str) -> Shards:
    p = len(xs)
    if wrong == "x from the list" and x_is_cut:
        xs = [torch.cat(xs, -1)] * p
    elif wrong == "x summed" and x_is_cut:
        xs = all_reduce(xs, ledger=ledger)
    elif (x_is_cut or wrong == "x always gathered") and wrong not in ("x not gathered", "x as it comes"):
        xs = all_gather(xs, -1, ledger=ledger)
    biases = [bias] * p if wrong == "whole bias" else split(bias, p, 0)
    finished = output_shards(xs, split(weight, p, 0), biases)
    width = finished[0].shape[-1]
    if wrong == "padded and summed":
        return all_reduce([pad(y, (r * width, (p - 1 - r) * width)) for r, y in enumerate(finished)], ledger=ledger)
    if wrong == "sum for gather":
        return all_reduce(finished, ledger=ledger)
    return all_gather(finished, -1, ledger=ledger)


def _row(xs: Shards, weight: Tensor, bias: Tensor, x_is_cut: bool, ledger: Ledger, wrong: str) -> Shards:
    p = len(xs)
    if x_is_cut and wrong == "gathered and cut again":
        xs, x_is_cut = all_gather(xs, -1, ledger=ledger), False
    if not x_is_cut and wrong not in ("x not cut", "x as it comes"):
        xs = [split(x, p, 1)[0 if wrong == "rank 0's columns" else rank] for rank, x in enumerate(xs)]
    dealt = [weight[:, rank::p] for rank in range(p)]
    partials = products(xs, dealt if wrong == "weight dealt like cards" else split(weight, p, 1))
    if wrong == "bias in the sum":
        return all_reduce([y + bias for y in partials], ledger=ledger)
    if wrong == "never summed":
        return [y + bias for y in partials]
    if wrong == "gather for sum":
        return [y + bias for y in all_gather(partials, -1, ledger=ledger)]
    return [y if wrong == "no bias" else y + bias for y in all_reduce(partials, ledger=ledger)]


MUTANTS = mutants_of(
    linear,
    (
        "plans swapped",
        "Every result is right, and the ledger is not: you ran the row plan where the column plan was asked for, and "
        "the other way round. Both compute the same Y, by other collectives.",
        'which branch runs for plan == "column".',
    ),
    (
        "no collective",
        "The result is right, and the ledger shows no collective. Did a rank read other ranks' tensors from the list, "
        "or every rank compute all of Y? Real ranks cannot do the first. Or did you call one without its ledger?",
        "all_gather(..., ledger=ledger) and all_reduce(..., ledger=ledger).",
    ),
    (
        "dense row",
        "In the row plan with a whole x every rank multiplied all of x with all of the weight: nothing is cut. A rank "
        "takes its columns of x and of the weight, and the partials are summed.",
        'plan == "row" where x is whole.',
    ),
    (
        "dense",
        "Where x is whole, every rank computed all of Y with all of the weight: nothing is cut. Both plans cut the "
        "weight, and a collective brings Y together.",
        "both plans where x is whole.",
    ),
    (
        "cut x by rows",
        "Every number is right, and the ledger is not: where x is cut you took the row plan, whatever was asked for. "
        "The plan says how the weight is cut, and x has to follow.",
        'plan == "column" where x_is_cut.',
    ),
    (
        "weight dealt like cards",
        "In the row plan you dealt the weight's inputs like cards: rank 0 got number 0, tp, 2·tp and so on. x is cut "
        "in blocks: its columns met the wrong columns of the weight.",
        "split(weight, world_size, 1).",
    ),
    (
        "gathered and cut again",
        "The row plan gathered an x that was cut, and cut it again. Row parallel wants x cut: take it as it comes.",
        'plan == "row" where x_is_cut.',
    ),
    (
        "padded and summed",
        "The result is right, but the column plan ended in an all-reduce of mostly zeros. It works, because a "
        "sum of shards padded to full width is their concatenation, and it moves more bytes.",
        "the collective that puts finished shards side by side.",
    ),
    ("rank 0's x", RANK_0_X, "the index of xs inside your loop."),
    (
        "rank 0's x in the row plan",
        "The numbers are right and the gradient is not: in the row plan every rank's columns came from rank 0's "
        "copy of x. Rank r cuts its own copy, xs[r], and keeps number r.",
        'plan == "row" where x is whole.',
    ),
    (
        "x from the list",
        "The numbers are right, and the x that was cut was put together without a collective. In this list that "
        "works; real ranks must gather it.",
        'plan == "column" where x_is_cut: all_gather(xs, -1, ledger=ledger).',
    ),
    (
        "x as it comes",
        "You never looked at x_is_cut. The column plan wants all of x: where it is cut, gather it. The row plan "
        "wants each rank's columns: where it is whole, take them.",
        "the four cases: two plans, x whole or cut.",
    ),
    (
        "rank 0's columns",
        "In the row plan every rank took rank 0's columns of x. Rank r needs the columns that meet its shard of "
        "the weight: number r.",
        'plan == "row" where x is whole.',
    ),
    (
        "x not cut",
        "In the row plan a rank multiplied a whole x with its shard of the weight, and the shapes do not fit. "
        "Where x is whole, each rank takes its own columns of it; that costs nothing.",
        'plan == "row" where x is whole.',
    ),
    (
        "x always gathered",
        "The column plan gathered an x that was whole already: now every column is there tp times. Gather only "
        "where x_is_cut.",
        'plan == "column" where x is whole.',
    ),
    (
        "x not gathered",
        "The column plan multiplied a shard of x with rows of the weight that want all of it. Where x_is_cut, the "
        "ranks must first gather x.",
        'plan == "column" where x_is_cut.',
    ),
    (
        "x summed",
        "The column plan all-reduced an x that was cut. Its shards are different columns, finished: they belong "
        "side by side, and a sum mixes them up.",
        'plan == "column" where x_is_cut.',
    ),
    (
        "sum for gather",
        "The column plan summed what the ranks computed. These are different outputs, finished: they belong side "
        "by side.",
        "the collective at the end of the column plan.",
    ),
    (
        "gather for sum",
        "The row plan put the partials side by side, and the bias does not fit what came out. Each partial has all "
        "outputs already: they are added.",
        "the collective at the end of the row plan.",
    ),
    (
        "never summed",
        "The column plan is right. In the row plan each rank kept its partial: the all-reduce is missing.",
        "the collective at the end of the row plan.",
    ),
    (
        "bias in the sum",
        "The column plan is right. In the row plan the bias is in your result tp times. It is due once, after the sum.",
        "the order of the bias and the all-reduce in the row plan.",
    ),
    (
        "no bias",
        "The column plan is right. In the row plan the bias is missing. It is whole on every rank, and added once "
        "the sum is done.",
        "the end of the row plan.",
    ),
    (
        "whole bias",
        "The row plan is right. In the column plan a rank has out/tp outputs and the bias has out: cut the bias as "
        "you cut the weight.",
        "split(bias, world_size, 0).",
    ),
)
