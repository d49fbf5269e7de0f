"""The ring: right answers, exactly (p − 1) / p · n bytes a phase, and wires that only reach the next rank."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tplearn.simulated import Ledger, Ring, ring_all_gather, ring_all_reduce, ring_reduce_scatter

few = settings(max_examples=25, deadline=None)
WORLD_SIZES = st.integers(1, 8)


def flat_tensors(p: int, n: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, dtype=torch.float64, generator=generator) for _ in range(p)]


@few
@given(p=WORLD_SIZES, m=st.integers(0, 6), seed=st.integers(0, 2**16))
def test_reduce_scatter(p: int, m: int, seed: int) -> None:
    tensors, ring = flat_tensors(p, p * m, seed), Ring(p)
    kept = [tensor.clone() for tensor in tensors]
    chunks = ring_reduce_scatter(tensors, ring)
    total = torch.stack(tensors).sum(0)
    for rank in range(p):
        torch.testing.assert_close(chunks[rank], total[rank * m : (rank + 1) * m], rtol=1e-12, atol=1e-12)
        assert ring.ledger.bytes("send", rank=rank) == (p - 1) * (p * m * 8) // p
        assert ring.ledger.count("send", rank=rank) == p - 1
    assert all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    assert ring.in_flight == 0


@few
@given(p=WORLD_SIZES, m=st.integers(0, 6), seed=st.integers(0, 2**16))
def test_all_gather(p: int, m: int, seed: int) -> None:
    chunks, ring = flat_tensors(p, m, seed), Ring(p)
    for rank, whole in enumerate(ring_all_gather(chunks, ring)):
        assert torch.equal(whole, torch.cat(chunks))
        assert ring.ledger.bytes("send", rank=rank) == (p - 1) * (p * m * 8) // p
    assert ring.in_flight == 0


@few
@given(p=WORLD_SIZES, m=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_all_reduce(p: int, m: int, seed: int) -> None:
    tensors, ring = flat_tensors(p, p * m, seed), Ring(p)
    totals = ring_all_reduce(tensors, ring)
    torch.testing.assert_close(totals[0], torch.stack(tensors).sum(0), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(total, totals[0]) for total in totals)  # bitwise: each chunk was added up once, on one rank
    assert {ring.ledger.bytes("send", rank=rank) for rank in range(p)} == {2 * (p - 1) * m * 8}
    assert len({total.untyped_storage().data_ptr() for total in totals}) == p


def test_the_ring_costs_what_the_ledger_says_a_ring_costs() -> None:
    """The same formula from two sides: counted on the wires, and computed for a real all_reduce's row."""
    p, n = 4, 12
    tensors, ring, ledger = flat_tensors(p, n, 0), Ring(p), Ledger()
    ring_all_reduce(tensors, ring)
    ledger.record(0, "all_reduce", tensors[0], group=tuple(range(p)), reduce_op="SUM")
    assert ring.ledger.bytes("send", rank=0) == ledger.wire_bytes("all_reduce", rank=0)


def test_gradients_flow_through_the_wires() -> None:
    tensors = [tensor.requires_grad_() for tensor in flat_tensors(3, 6, 1)]
    assert torch.autograd.gradcheck(lambda *xs: tuple(ring_all_reduce(list(xs), Ring(3))), tensors)


def test_a_wire_is_a_queue_and_copies() -> None:
    ring, x = Ring(2), torch.tensor([1.0])
    ring.send(0, 1, x)
    x.fill_(2.0)
    ring.send(0, 1, x)
    assert ring.in_flight == 2
    assert [ring.recv(0, 1).item(), ring.recv(0, 1).item()] == [1.0, 2.0]
    rows = [(row.rank, row.op, row.peer, row.bytes, row.group) for row in ring.ledger.rows]
    assert rows == [(0, "send", 1, 4, (0, 1))] * 2 + [(1, "recv", 0, 4, (0, 1))] * 2


def test_the_wires_can_run_the_other_way() -> None:
    ring = Ring(3, step=-1)
    ring.send(0, 2, torch.tensor([7.0]))
    assert ring.recv(0, 2).item() == 7.0
    assert [(row.rank, row.op, row.peer) for row in ring.ledger.rows] == [(0, "send", 2), (2, "recv", 0)]


def test_a_ring_can_write_into_a_given_ledger() -> None:
    ledger = Ledger()
    assert Ring(2, ledger).ledger is ledger


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Ring(0), "world_size = 0 is not a number of ranks; sizes that work: 1, 2, 3, ..."),
        (lambda: Ring(4, step=2), "step = 2 does not lead to a neighbour; steps that work: 1 and -1"),
        (
            lambda: Ring(4, step=-1).send(0, 1, torch.zeros(1)),
            "send from rank 0 to rank 1: no such wire; in a ring of 4, rank 0 sends to rank 3 only",
        ),
        (
            lambda: Ring(4).send(0, 2, torch.zeros(1)),
            "send from rank 0 to rank 2: no such wire; in a ring of 4, rank 0 sends to rank 1 only",
        ),
        (
            lambda: Ring(4).recv(1, 0),
            "recv from rank 1 to rank 0: no such wire; in a ring of 4, rank 1 sends to rank 2 only",
        ),
        (lambda: Ring(4).send(4, 0, torch.zeros(1)), "src = 4 does not exist; with 4 ranks, ranks go from 0 to 3"),
        (lambda: Ring(4).send(3, 4, torch.zeros(1)), "dst = 4 does not exist; with 4 ranks, ranks go from 0 to 3"),
        (lambda: Ring(1).send(0, 0, torch.zeros(1)), "send from rank 0 to rank 0: a ring of 1 rank has no wires"),
        (lambda: Ring(2).recv(0, 1), "recv from rank 0 to rank 1: nothing was sent; send before you receive"),
        (
            lambda: ring_reduce_scatter([torch.zeros(10)] * 4, Ring(4)),
            "length = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
        ),
        (
            lambda: ring_all_reduce([torch.zeros(4)] * 2, Ring(4)),
            "ring_reduce_scatter got 2 tensors for a ring of 4 ranks; give one tensor per rank",
        ),
        (
            lambda: ring_all_gather([torch.zeros(2, 2)] * 2, Ring(2)),
            "ring_all_gather takes flat tensors: rank 0 brings (2, 2); call .flatten() first",
        ),
        (
            lambda: ring_all_gather([torch.zeros(2), torch.zeros(3)], Ring(2)),
            "ring_all_gather needs the same shape and dtype on every rank: rank 0 brings (2,) float32, "
            "rank 1 brings (3,) float32",
        ),
    ],
)
def test_bad_use_is_named(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text
