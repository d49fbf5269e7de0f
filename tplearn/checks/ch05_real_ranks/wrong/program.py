"""Wrong answers to 05.6: a whole program, from joining the group to leaving it."""

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Mutant


@contextlib.contextmanager
def _member(leave: bool = True) -> Iterator[None]:
    dist.init_process_group("gloo")
    yield
    if leave:
        dist.destroy_process_group()


def _exchanged(row: Tensor) -> Tensor:
    column = [torch.empty_like(number) for number in row.split(1)]
    dist.all_to_all(column, list(row.split(1)))
    return torch.cat(column)


def _table(row: Tensor) -> Tensor:
    rows = [torch.empty_like(row) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, row)
    return torch.stack(rows)


def _program(body: Callable[[Tensor], Tensor], leave: bool = True) -> Callable[[Tensor], Tensor]:
    def program(row: Tensor) -> Tensor:
        with _member(leave):
            return body(row)

    return program


def _summed_table(row: Tensor) -> Tensor:
    table = row.new_zeros(len(row), len(row))
    table[dist.get_rank()] = row
    dist.all_reduce(table)
    return table[:, dist.get_rank()].contiguous()


def _lists_swapped(row: Tensor) -> Tensor:
    """all_to_all sends the zeros of what should be filled, and fills the row."""
    column = [torch.zeros_like(number) for number in row.split(1)]
    dist.all_to_all(list(row.split(1)), column)
    return torch.cat(column)


MUTANTS = (
    Mutant(
        "no init_process_group",
        _exchanged,
        "Nobody has put your process in a group: run_ranks did that for you until now. Under torchrun the program does "
        "it, before anything else that is called dist.",
        'dist.init_process_group("gloo"), which reads RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.',
    ),
    Mutant(
        "never left",
        _program(_exchanged, leave=False),
        "The column is right, and your program returns while its process is still in the group.",
        "dist.destroy_process_group() at the end.",
    ),
    Mutant(
        "everybody's rows",
        _program(lambda row: _table(row)[:, dist.get_rank()].contiguous()),
        "The column is right, but every rank got the whole table to take one column of it: p − 1 rows, where p − 1 "
        "numbers are needed.",
        "all_to_all: each rank sends every other rank the one number that is for it.",
    ),
    Mutant(
        "a table of zeros, summed",
        _program(_summed_table),
        "The column is right, but a whole table of p × p numbers was summed for it, most of them zeros.",
        "all_to_all: each rank sends every other rank the one number that is for it.",
    ),
    Mutant(
        "the own row",
        _program(lambda row: row.clone()),
        "Each rank returns its row. Column r holds number r of every rank's row.",
        "the exchange: dist.all_to_all.",
    ),
    Mutant(
        "the whole table",
        _program(_table),
        "Each rank returns the whole table. Rank r's column is asked for, p numbers.",
        "column r of the table, and a way to send no more than that.",
    ),
    Mutant(
        "the first column for all",
        _program(lambda row: _table(row)[:, 0].contiguous()),
        "Every rank returns column 0. Rank r's column is number r.",
        "the index of the column.",
    ),
    Mutant(
        "the sum of the rows",
        _program(lambda row: _table(row).sum(0)),
        "You summed the rows over the ranks. Nothing is to be added: the numbers only change places.",
        "all_reduce and reduce_scatter add; all_to_all does not.",
    ),
    Mutant(
        "the number on the machine",
        _program(lambda row: _table(row)[:, int(os.environ["LOCAL_RANK"])].contiguous()),
        "Some ranks return another rank's column: LOCAL_RANK counts the ranks of one machine. The ranks are here as on "
        "two machines, so several have LOCAL_RANK 0. It is for choosing a GPU; the rank among all is RANK.",
        "dist.get_rank(), or RANK.",
    ),
    Mutant(
        "lists swapped",
        _program(_lists_swapped),
        "all_to_all was given its two lists in the wrong order: it sent the zeros that should have been filled, and "
        "wrote what arrived into row.",
        "dist.all_to_all(output_tensor_list, input_tensor_list): first what is filled, then what is sent.",
    ),
    Mutant(
        "backwards",
        _program(lambda row: _exchanged(row).flip(0)),
        "The numbers are right, the last rank's first. Number k of the column is rank k's.",
        "the order of the list that all_to_all fills.",
    ),
)
