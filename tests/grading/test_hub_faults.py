"""What goes wrong on the hub is named at once, in the words of run_ranks; and what a rank forges costs that rank."""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import backpropagate, forward
from tplearn.checks.probe import shift, unmoved
from tplearn.checks.run import NOT_RUN, observe
from tplearn.grading.court import CellsFailed, observe_alone, observe_on_hub
from tplearn.grading.own_ranks import own_ranks
from tplearn.grading.sitting import Setup
from tplearn.jailed.wire import encode
from tplearn.ranks import run_ranks

SECONDS = 60.0


def on_hub(answer: Callable[..., Any], *cases: Case, timeout: float = SECONDS, **more: Any) -> list[dict[str, Any]]:
    return observe_on_hub(cases, Setup(forward), own_ranks(answer), timeout, **more)


def failure_of(answer: Callable[..., Any], tp: int = 2) -> Failure:
    return on_hub(answer, Case(tp))[0]["error"]


def returns_early() -> None:
    if dist.get_rank() != 1:
        dist.all_reduce(torch.ones(4, 8))


def waits_for_nobody() -> None:
    if dist.get_rank() == 1:
        dist.recv(torch.ones(3), src=0, tag=5)
    else:
        dist.send(torch.ones(3), dst=1, tag=4)


def all_send_first() -> None:
    other = 1 - dist.get_rank()
    dist.send(torch.ones(2), dst=other)
    dist.recv(torch.ones(2), src=other)


def two_ops() -> None:
    x = torch.ones(2)
    (dist.all_reduce if dist.get_rank() else dist.broadcast)(x, **({} if dist.get_rank() else {"src": 0}))


def two_shapes() -> None:
    dist.all_reduce(torch.ones(2 + dist.get_rank()))


def two_reduce_ops() -> None:
    dist.all_reduce(torch.ones(2), op=(dist.ReduceOp.SUM, dist.ReduceOp.MAX)[dist.get_rank()])


def two_roots() -> None:
    dist.broadcast(torch.ones(2), src=dist.get_rank())


def sizes_that_do_not_fit() -> None:
    if dist.get_rank():
        dist.recv(torch.ones(3), src=0)
    else:
        dist.send(torch.ones(2), dst=1)


def a_group_of_some() -> None:
    if dist.get_rank() < 2:
        dist.all_reduce(torch.ones(1), group=dist.new_group([0, 1]))


def a_member_does_not_come() -> None:
    if dist.get_rank() == 0:
        dist.new_group([0, 1])


def is_killed() -> None:
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def nobody_receives() -> None:
    if dist.get_rank() == 0:
        dist.isend(torch.ones(2), dst=1)


def leaves() -> None:
    if dist.get_rank() == 1:
        os._exit(0)
    dist.all_reduce(torch.ones(2))


def says_goodbye() -> None:
    sys.exit(0)


def one_raises() -> None:
    if dist.get_rank() == 1:
        raise KeyError("weight")
    dist.all_reduce(torch.ones(2))


def all_raise() -> None:
    raise ValueError("5 rows cannot be cut for 2 ranks\nand more")


def no_such_rank() -> None:
    dist.broadcast(torch.ones(2), group_src=7)


FAULTS = [
    (returns_early, 3, ["rank 1  returned", "waits in all_reduce #0 (4×8 float32, SUM)"]),
    (waits_for_nobody, 2, ["waits in recv #0", "tag 5; the other side has tag 4"]),
    (all_send_first, 2, ["waits in send #0"]),
    (two_ops, 2, ["disagree", "different op"]),
    (two_shapes, 2, ["disagree", "different shape"]),
    (two_reduce_ops, 2, ["different reduce op"]),
    (two_roots, 2, ["different root"]),
    (sizes_that_do_not_fit, 2, ["a send and its recv do not fit"]),
    (a_group_of_some, 3, ["rank 1  new_group (ranks [0, 1]) never matched by rank 2"]),
    (a_member_does_not_come, 2, ["rank 0  waits in new_group #0 (ranks [0, 1])", "rank 1  returned"]),
    (is_killed, 2, ["Rank 1 was killed by SIGKILL"]),
    (nobody_receives, 2, ["never matched by rank 1"]),
    (leaves, 2, ["Rank 1 left by os._exit(0)"]),
    (says_goodbye, 2, ["sys.exit(0)"]),
    (one_raises, 2, ["'weight'"]),
    (all_raise, 2, ["5 rows cannot be cut for 2 ranks"]),
    (no_such_rank, 2, ["7"]),
]


@pytest.mark.parametrize(("answer", "tp", "says"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_is_named_as_run_ranks_names_it(answer: Callable[..., Any], tp: int, says: list[str]) -> None:
    before = time.monotonic()
    got = failure_of(answer, tp)
    assert time.monotonic() - before < SECONDS / 2, "nobody waits for a time limit"
    for text in says:
        assert text in got.text
    exercise = Exercise("99.1", "any", 1, 1, 1, answer, lambda generator: [Case(tp)], (), ranks=True, timeout=SECONDS)
    want = observe(exercise, answer, [Case(tp)])[0][0]["error"]
    assert got.kind == want.kind
    if want.kind in ("Deadlock", "CollectiveMismatch"):
        assert got.text.splitlines() == [line.partition("   test_hub_faults")[0] for line in want.text.splitlines()]


def test_a_line_of_the_answers_cells_is_named_and_not_compared() -> None:
    source = "import torch, torch.distributed as dist\ndef f():\n    if dist.get_rank():\n"
    source += "        dist.all_reduce(torch.ones(2))"
    setup = Setup(forward, (("cell [4]", source),), "f")
    failure = observe_on_hub([Case(2)], setup, own_ranks(), SECONDS)[0]["error"]
    assert failure.kind == "Deadlock"
    assert "cell [4] line 4:  dist.all_reduce(torch.ones(2))" in failure.detail
    assert "cell" not in failure.text


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("f = 3", "NameError"),
        ("def f(: pass", "SyntaxError"),
        ("import sys; sys.exit(1)", "SystemExit"),
        ("import os; os._exit(0)", "RankDied"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_cells_that_fail_are_told_apart_from_the_function(source: str, kind: str) -> None:
    setup = Setup(forward, (("cell [1]", source),), "f")
    with pytest.raises(CellsFailed) as stop:
        observe_on_hub([Case(1), Case(2)], setup, own_ranks(), SECONDS)
    assert stop.value.failure.kind == kind
    with pytest.raises(CellsFailed) as stop:
        observe_alone([Case(1), Case(2)], setup, own_ranks(), SECONDS)
    assert stop.value.failure.kind == kind


def test_a_cell_that_fails_above_the_answer_stops_nothing() -> None:
    cells = (
        ("cell [1]", "x = 2"),
        ("cell [2]", "1 / 0"),
        ("cell [3]", "raise SystemExit(1)"),
        ("cell [4]", "def f(): return x"),
    )
    assert observe_alone([Case(1)], Setup(forward, cells, "f"), own_ranks(), SECONDS)[0]["forward"] == 2


def fails_at_three(tp: int) -> int:
    if tp == 3 and dist.get_rank() == 0:
        dist.all_reduce(torch.ones(1))
    return dist.get_world_size()


def loops_at_two(tp: int) -> int:
    while tp == 2:
        pass
    return tp


def stub(tp: int) -> int:
    raise NotImplementedError("your turn")


def test_a_case_that_fails_costs_itself_and_a_time_limit_the_rest() -> None:
    cases = [Case(tp, (tp,)) for tp in (1, 3, 2, 3, 4)]
    seen = on_hub(fails_at_three, *cases)
    assert [("forward" in one) and one["forward"] for one in seen] == [[1], False, [2, 2], False, [4, 4, 4, 4]]
    assert {seen[k]["error"].kind for k in (1, 3)} == {"Deadlock"}
    seen = on_hub(loops_at_two, *cases, timeout=3.0)
    assert seen[0]["forward"] == [1]
    assert seen[2]["error"].kind == "RankTimeout"
    assert [seen[k]["error"] for k in (1, 3, 4)] == [NOT_RUN] * 3
    assert all(one["error"].is_stub for one in on_hub(stub, *cases))


def one_of_each(x: torch.Tensor) -> dict[str, Any]:
    """Every way to bring something, each into a tensor of its own."""
    rank, p = dist.get_rank(), dist.get_world_size()
    got = {name: torch.zeros_like(x) for name in ("all_reduce", "broadcast", "scatter", "recv", "reduce_scatter")}
    got["all_reduce"].copy_(x)
    dist.all_reduce(got["all_reduce"])
    got["broadcast"].copy_(x)
    dist.broadcast(got["broadcast"], src=0)
    dist.scatter(got["scatter"], [x, 2 * x] if rank == 0 else None, src=0)
    dist.reduce_scatter(got["reduce_scatter"], [x, 3 * x])
    works = [dist.isend(x, (rank + 1) % p), dist.irecv(got["recv"], (rank - 1) % p)]
    [work.wait() for work in reversed(works)]
    parts = [torch.zeros_like(x) for _ in range(p)]
    dist.all_gather(parts, x)
    swapped = torch.zeros(p, *x.shape, dtype=x.dtype)
    dist.all_to_all_single(swapped, torch.stack([x, 5 * x]))
    gathered = [torch.zeros_like(x) for _ in range(p)] if rank == 1 else None
    dist.gather(x, gathered, dst=1)
    objects: list[Any] = [None] * p
    dist.all_gather_object(objects, ("rank", rank))
    return got | {"all_gather": parts, "all_to_all": swapped, "gather": gathered or [], "objects": objects}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64], ids=str)
def test_every_operation_brings_what_it_should_and_the_shift_reaches_floats_only(dtype: torch.dtype) -> None:
    x = torch.arange(1, 4).to(dtype)
    cases = Case(2, (x,)), Case(2, (x,), shift=True)
    plain, shifted = (one["forward"] for one in on_hub(one_of_each, *cases, shift=lambda tensor: tensor + 0.5))
    for rank in range(2):
        due = {
            "all_reduce": 2 * x,
            "broadcast": x,
            "scatter": (1 + rank) * x,
            "reduce_scatter": 2 * (1 + 2 * rank) * x,
            "recv": x,
            "all_gather": [x, x],
            "all_to_all": torch.stack([x, x] if rank == 0 else [5 * x, 5 * x]),
            "gather": [x, x] if rank == 1 else [],
        }
        for name, want in due.items():
            own = name in ("broadcast", "scatter") and rank == 0
            by = 0.5 if dtype.is_floating_point and not own else 0
            pairs = zip(want, plain[rank][name], shifted[rank][name], strict=True)
            for one, before, after in pairs:
                assert torch.equal(before, one) and torch.equal(after, one + by), (name, rank)
        assert plain[rank]["objects"] == shifted[rank]["objects"] == [["rank", 0], ["rank", 1]]


def used(x: torch.Tensor) -> torch.Tensor:
    total = x.clone()
    dist.all_reduce(total)
    return total


def for_show(x: torch.Tensor) -> torch.Tensor:
    dist.all_reduce(torch.zeros_like(x))
    return x * dist.get_world_size()


def test_the_probe_tells_a_decoy_from_an_answer() -> None:
    x = torch.randn(4, dtype=torch.float64)
    cases = Case(2, (x,)), Case(2, (x,), shift=True)
    right, decoy = (tuple(on_hub(answer, *cases, shift=shift)) for answer in (used, for_show))
    assert torch.allclose(decoy[0]["forward"][0], right[0]["forward"][0])
    assert [row.describe() for row in decoy[0]["ledger"]] == [row.describe() for row in right[0]["ledger"]]
    assert unmoved(right, right) is None
    assert unmoved(right, decoy) == ("forward", 0)


def swapped_handles() -> list[torch.Tensor]:
    x, y = torch.ones(1), torch.ones(1)
    first = dist.all_reduce(x, async_op=True)
    second = dist.all_reduce(y, op=dist.ReduceOp.MAX, async_op=True)
    for work in (first, second) if dist.get_rank() else (second, first):
        work.wait()
    return [x, y]


def forgotten_handle() -> None:
    dist.all_reduce(torch.ones(1), async_op=True)
    dist.barrier()


def test_handles_may_be_waited_for_in_any_order_and_forgotten_ones_are_told() -> None:
    (seen,) = on_hub(swapped_handles, Case(2))
    assert [[x.item() for x in pair] for pair in seen["forward"]] == [[2, 1], [2, 1]]
    assert "handles" not in seen
    (seen,) = on_hub(forgotten_handle, Case(2))
    assert [told[0].split(",")[0] for told in seen["handles"]] == ["all_reduce", "all_reduce"]


def grows_by_itself() -> list[Any]:
    """What autograd makes of collectives that are no autograd Functions."""
    told: list[Any] = []
    for collective in (dist.all_reduce, partial(dist.broadcast, src=0), partial(dist.reduce, dst=0)):
        x = torch.ones(2, requires_grad=True).clone()
        collective(x)
        told.append(backpropagate([x], [torch.ones(2)]))
    for collective, sizes in ((dist.all_gather_single, (4, 2)), (dist.reduce_scatter_single, (2, 4))):
        out, own = torch.zeros(sizes[0]), torch.ones(sizes[1], requires_grad=True) * 2
        collective(out, own)
        told.append([out.requires_grad, backpropagate([out], [torch.ones_like(out)]) if out.requires_grad else None])
    return told


def test_autograd_knows_no_more_of_the_hub_than_of_gloo() -> None:
    want = run_ranks(grows_by_itself, 2, timeout=SECONDS).values
    assert [bool(one) for one in want[0][:3]] == [True, True, False]
    assert on_hub(grows_by_itself, Case(2))[0]["forward"] == want


def speaks(*messages: object) -> Callable[[], None]:
    """An answer whose rank 1 writes these to the judge by itself, and whose rank 0 waits for it."""

    def answer() -> None:
        if dist.get_rank() == 1:
            import gc

            from tplearn.jailed.line import Line

            (line,) = (thing for thing in gc.get_objects() if type(thing) is Line)
            for message in messages:
                os.write(line.write_fd, message if isinstance(message, bytes) else encode(message))
            time.sleep(60)
        dist.barrier()

    return answer


def post(op: object, *tensors: object, members: object = (0, 1), number: int = 0, **more: object) -> list[object]:
    return [
        "post",
        number,
        op,
        "0",
        list(members) if isinstance(members, tuple) else members,
        more,
        list(tensors),
        ["", ""],
    ]


X = torch.ones(2)


@pytest.mark.parametrize(
    "messages",
    [
        [b"\xff" * 100],
        [b"GET / HTTP/1.1\r\n\r\n"],
        [None],
        [["value"]],
        [["value", 3, []]],
        [["value", {"error": 3}, []]],
        [["value", {0: 3}, []]],
        [["value", {"forward": 3}, [4]]],
        [["raised", "", "", "", "Error"]],
        [["raised", "Error", "", "", " \n"]],
        [["exiting", "0", "", ""]],
        [["wait", 0]],
        [["wait", -1]],
        [["case", {}]],
        [["ready"]],
        [post("all_reduce", X, reduce="SUM", number=1)],
        [post("all_reduce", X, reduce=["SUM"])],
        [post("all_reduce", X)],
        [post("all_reduce", reduce="SUM")],
        [post("all_reduce", X, reduce="SUM", members=(0,))],
        [post("all_reduce", X, reduce="SUM", members=(1, 1))],
        [post("all_reduce", X, reduce="SUM", members=(1, 9))],
        [post("all_reduce", X, reduce="SUM", members=[[1], 1])],
        [post("all_reduce", X, reduce="SUM", members=3)],
        [post("all_reduce", "x", reduce="SUM")],
        [post("broadcast", X, X, root=0)],
        [post("broadcast", X, root=5)],
        [post("barrier", X)],
        [post("send", X, peer=-1)],
        [post("send", X, peer=0, tag="a")],
        [post("all_to_all", X, splits=["a"])],
        [post("all_to_all", X, splits=[7, 7], members=(1,))],
        [post("all_to_all", members=(1,))],
        [post("scatter", members=(1,), root=1)],
        [post("gather", members=(1,), root=1)],
        [post("reduce_scatter", X, reduce="SUM", listed=True, members=(1,)), ["wait", 0], ["wait", 0]],
        [post("eval", X)],
        [post(3, X)],
        [["post"] * 9],
    ],
    ids=lambda messages: str(messages[0])[:40].replace("\n", ""),
)
def test_a_forged_message_ends_its_rank_and_nobody_else(messages: list[object]) -> None:
    failure = failure_of(speaks(*messages))
    assert failure.kind == "RankDied"
    assert failure.text.startswith("Rank 1 broke the protocol")


def test_a_flood_is_cut_off() -> None:
    flood = b"".join(encode(post("send", X, peer=0, number=k)) for k in range(6_000))
    assert "more than 5000 collectives" in failure_of(speaks(flood)).text
    big = torch.zeros(1 << 20, dtype=torch.float64)
    messages = [post("send", big, peer=0, number=k) for k in range(9)]
    assert "bytes" in failure_of(speaks(*messages)).text
    whole = torch.zeros(3 << 20, dtype=torch.float64)  # 24 MiB from each rank: more than one frame comes back
    assert "fit" in failure_of(lambda: dist.all_gather([torch.empty_like(whole) for _ in range(2)], whole)).text
