"""Wrong answers to exercise 13.1: shares by another number than the row's, other orders, and the end of an epoch."""

import torch


def wrong_data_rank(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int, wrong: str) -> list[list[int]]:
    """The windows of a rank, step by step, with one thing `wrong`."""
    row, column = divmod(rank, tp)
    order = _order(windows, epoch, row, rank, wrong)
    share, shares = {
        "cut over all ranks": (rank, dp * tp),
        "cut over tp": (column, tp),
        "rows taken for columns": (rank % dp, dp),
        "rank divided by dp": (rank // dp, dp),
        "rank for the row": (rank, dp),
        "row of all ranks": (row, dp * tp),
        "everything everywhere": (0, 1),
        "row 0's": (0, dp),
    }.get(wrong, (row, dp))
    if wrong == "a batch for each row":
        order = order[: windows // (batch * dp) * batch * dp]
        batch *= dp
    whole = windows // batch * batch
    if wrong == "last batch lost" and windows == whole:
        order = order[: whole - batch]
    if wrong == "filled up from the front":
        order += order[: -windows % batch]
    elif wrong != "rest kept":
        order = order[:whole]
    if wrong == "epoch cut in runs":
        own = order[share * len(order) // shares : (share + 1) * len(order) // shares]
        return [own[start : start + batch // dp] for start in range(0, len(own), batch // dp)]
    if wrong == "rows dealt first":
        own = _order(windows, epoch, row, rank, wrong)[row::dp]
        each = batch // dp
        return [own[start : start + each] for start in range(0, len(own) - each + 1, each)]
    steps = [order[start : start + batch] for start in range(0, len(order), batch)]
    if wrong == "whole batches in turn":
        return steps[row::dp]
    if wrong == "first batch again":
        steps = steps[:1] * len(steps)
    if wrong == "one step":
        return steps[0][share::shares]
    if wrong == "all steps in one":
        return [window for step in steps for window in step[share::shares]]
    if wrong == "columns in another order":
        return [step[share::shares][column:] + step[share::shares][:column] for step in steps]
    return [step[share::shares] for step in steps]


def _order(windows: int, epoch: int, row: int, rank: int, wrong: str) -> list[int]:
    if wrong == "not shuffled":
        return list(range(windows))
    seed = {"seed + rank": epoch + rank, "seed + row": epoch + row, "one order for all epochs": 0}.get(wrong, epoch)
    return torch.randperm(windows, generator=torch.Generator().manual_seed(seed)).tolist()
