"""What the compiler sends: forward the 2L + 1 all-reduces of chapter 11, backward as many where `f` is written."""

from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import torch

from tests.gspmd.models import BATCH, SEQ, texts, write_tiny
from tests.gspmd.on_mesh import OnMesh, Sizes, mesh_of
from tplearn import run_ranks
from tplearn.gspmd.hlo import collectives, count_ops
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.tensors import EMBEDDING
from tplearn.ranks.ledger import Row

pytestmark = pytest.mark.xdist_group("jax")


def on_mesh(folder: Path, sizes: Sizes, explicit: bool = False) -> OnMesh:
    return OnMesh(folder, mesh_of(sizes, explicit=explicit), texts(LlamaConfig.from_folder(folder)))


def in_row(rank: int, sizes: Sizes) -> tuple[int, ...]:
    """The ranks with the same texts."""
    first = rank // sizes[1] * sizes[1]
    return tuple(range(first, first + sizes[1]))


def seen(row: Row) -> tuple:
    """What does not depend on who wrote the row."""
    return row.rank, row.op, row.group, row.shape, row.dtype, row.reduce_op, row.bytes


def due(sizes: Sizes, times: int) -> list[tuple]:
    """So many all-reduces of [texts of the rank, seq, hidden] on each rank."""
    shape = (BATCH // sizes[0], SEQ, 192)
    size = shape[0] * SEQ * 192 * 4
    return [
        (rank, "all_reduce", in_row(rank, sizes), shape, "float32", "SUM", size)
        for rank in range(8)
        for _ in range(times)
    ]


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2)], ids=str)
@pytest.mark.parametrize("layers", [1, 2, 6])
def test_annotations_only_and_forward(layers: int, sizes: Sizes, tmp_path: Path) -> None:
    text = on_mesh(write_tiny(tmp_path, layers), sizes).forward_text()
    assert count_ops(text) == {"all_reduce": 2 * layers + 1}
    assert list(map(seen, collectives(text))) == due(sizes, 2 * layers + 1)


@pytest.mark.parametrize("explicit", [False, True])
def test_nothing_where_the_model_is_whole(explicit: bool, tiny: Path) -> None:
    assert collectives(on_mesh(tiny, (8, 1), explicit).forward_text()) == []


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2)], ids=str)
@pytest.mark.parametrize("layers", [1, 2])
def test_explicit_forward_and_backward(layers: int, sizes: Sizes, tmp_path: Path) -> None:
    """In a mesh's row: x and its gradient, one tensor each. Over the batch: the weights' gradients, once."""
    model, times = on_mesh(write_tiny(tmp_path, layers), sizes, explicit=True), 2 * (2 * layers + 1)
    rows = collectives(model.both_text())
    within = [row for row in rows if row.group == in_row(row.rank, sizes)]
    assert list(map(seen, within)) == due(sizes, times)
    assert len({row.source for row in within}) == times, "each in an op of its own"
    others = [row for row in rows if row not in within and row.rank == 0]
    assert {(row.op, len(row.group)) for row in others} == {("all_reduce", sizes[0])}
    # Shard by shard; the tied table's gradients as embedding and as head are summed apart.
    arrays = [*model.weights.arrays.values(), model.weights.arrays[EMBEDDING]]
    assert sorted(row.shape for row in others) == sorted(a.sharding.shard_shape(a.shape) for a in arrays)


def test_annotations_only_and_backward_every_einsum_has_an_all_reduce(tiny: Path) -> None:
    """q, k, v and gate, up are five summands of x a layer; the compiler sends them in as many ops, but apart."""
    sizes = (2, 4)
    rows = [row for row in collectives(on_mesh(tiny, sizes).both_text()) if row.rank == 0]
    backward = [row for row in rows if row.group == in_row(0, sizes)][2 * 2 + 1 :]
    assert len(backward) == 5 * 2 + 1 and len({row.source for row in backward}) == 2 * 2 + 1


@pytest.mark.parametrize("explicit", [False, True])
def test_copies_of_kv_heads_cost_nothing_forward(explicit: bool, tiny: Path) -> None:
    text = on_mesh(tiny, (1, 8, 4), explicit).forward_text()
    assert list(map(seen, collectives(text))) == due((1, 8), 5)


def test_the_compiler_writes_what_was_written_by_hand(tiny: Path) -> None:
    """Row for row the ledger of four ranks on gloo."""
    made = OnMesh(tiny, mesh_of((1, 4)), texts(LlamaConfig.from_folder(tiny)))
    by_hand = run_ranks(hidden, 4, tiny).ledger
    assert list(map(seen, collectives(made.forward_text()))) == list(map(seen, by_hand.rows))


@torch.no_grad()
def hidden(folder: Path) -> None:
    model = Llama.from_pretrained(folder)
    model.hidden(texts(model.config))
