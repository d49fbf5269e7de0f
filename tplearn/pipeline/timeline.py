"""A schedule in time: when each action runs if stages cost so many slots and sending costs none."""

from collections.abc import Iterator
from dataclasses import dataclass

from tplearn.pipeline.orders import BACKWARD, FORWARD, OF_INPUT, OF_WEIGHT, Action, Order, order
from tplearn.sizes import is_number, shown


@dataclass(frozen=True)
class Span:
    """An action on its rank, from slot `start` to slot `stop`."""

    rank: int
    action: Action
    start: float
    stop: float


def timeline(
    schedule: str, p: int, m: int, v: int | None = None, *, forward: float = 1.0, backward: float = 2.0
) -> list[Span]:
    """A step of m micro-batches on p ranks with v stages each, by rank, then in time.

    forward, backward: slots of one stage and one micro-batch; the halves of a backward have half of it each. With v
    stages on a rank, a v-th of the slots makes the model as large as with one.

    Raises ValueError as `order` does, and for slots that are no numbers above 0.
    """
    return spans_of(order(schedule, p, m, v), forward=forward, backward=backward)


def spans_of(by_rank: Order, *, forward: float = 1.0, backward: float = 2.0) -> list[Span]:
    """When the actions run, each as soon as its rank is free and its input there.

    Raises ValueError where ranks wait for each other for ever, with what each waits to do, and for an action that is
    there twice.
    """
    for name, slots in (("forward", forward), ("backward", backward)):
        if not (is_number(slots) and slots > 0):
            raise ValueError(f"{name} = {shown(slots)} slots do not work; numbers above 0 do")
    costs = {FORWARD: forward, BACKWARD: backward, OF_INPUT: backward / 2, OF_WEIGHT: backward / 2}
    last = max((action.stage for actions in by_rank for action in actions), default=0)
    left, spans = [list(actions) for actions in by_rank], [[] for _ in by_rank]
    over: dict[Action, float] = {}  # when each action has ended
    while any(left):
        before = len(over)
        for rank, actions in enumerate(left):
            while actions and (due := _input_of(actions[0], last, over)) is not None:
                action = actions.pop(0)
                if action in over:
                    raise ValueError(f"rank {rank} does {action} a second time; once works")
                start = max(due, spans[rank][-1].stop if spans[rank] else 0.0)
                over[action] = start + costs[action.kind]
                spans[rank].append(Span(rank, action, start, over[action]))
        if len(over) == before:
            waits = ", ".join(f"rank {rank} with {actions[0]}" for rank, actions in enumerate(left) if actions)
            raise ValueError(f"the ranks wait for each other: {waits}; an order where inputs come first works")
    return [span for lane in spans for span in lane]


def _input_of(action: Action, last: int, over: dict[Action, float]) -> float | None:
    """When what an action needs is there; None where it is not yet known."""
    stage, number = action.stage, action.micro_batch
    if action.kind == FORWARD:
        return over.get(Action(FORWARD, stage - 1, number)) if stage else 0.0
    if action.kind == OF_WEIGHT:
        return over.get(Action(OF_INPUT, stage, number))
    if stage == last:
        return over.get(Action(FORWARD, stage, number))
    passed = (over.get(Action(kind, stage + 1, number)) for kind in (BACKWARD, OF_INPUT))
    return next((end for end in passed if end is not None), None)


def idle_share(spans: list[Span]) -> float:
    """The share of all ranks' time, from the first start to the last stop, in which they do nothing: the bubble."""
    ranks = len({span.rank for span in spans})
    busy = sum(span.stop - span.start for span in spans)
    return 1 - busy / ranks / (max(span.stop for span in spans) - min(span.start for span in spans))


def alive(spans: list[Span], rank: int) -> int:
    """The most activations that a rank keeps at once: forwards begun whose backward is not over, one for each stage
    and micro-batch. With halves, the weights' half is what ends them."""
    return max(_counts(sorted((s for s in spans if s.rank == rank), key=lambda span: span.start)))


def _counts(spans: list[Span]) -> Iterator[int]:
    kept = 0
    for span in spans:
        kept += span.action.kind == FORWARD
        yield kept
        kept -= span.action.kind in (BACKWARD, OF_WEIGHT)
