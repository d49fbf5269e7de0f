"""What an exercise is: reference, inputs, what it may send, and the wrong answers (mutants) that it can name."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from tplearn.checks.observe import forward
from tplearn.checks.traffic import Traffic


@dataclass(frozen=True)
class Case:
    """One call of the answer: `fn(*args, **kwargs)`, on `tp` ranks (simulated or real).

    `args` may hold tensors, numbers, strings and nested lists of them (list index = rank). With `Exercise.ranks` they
    may hold `per_rank([...])`. label: what sets this case apart where its tp does not, such as `kind = "each"`.
    shift: whether what arrives over the wire is changed; `judge` sets it, see tplearn.checks.probe.
    mesh: (dp, tp) where the ranks are a mesh of dp rows of tp ranks; `tp` above is then the number of all of them.
    """

    tp: int
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    shift: bool = False
    mesh: tuple[int, int] | None = None

    @property
    def size(self) -> int | str:
        """The number of ranks, or "2×4" for a mesh."""
        return self.tp if self.mesh is None else "×".join(map(str, self.mesh))

    def __str__(self) -> str:
        """`tp = 2 (kind = "each")`, `a 2×4 mesh`."""
        ranks = f"a {self.size} mesh" if self.mesh else f"tp = {self.tp}"
        return ranks + (f" ({self.label})" if self.label else "")

    @property
    def where(self) -> str:
        """How a sentence about this case begins: "On tp = 2", or "On tp = 2, kind = "each":"."""
        return f"On {self}:" if self.label else f"On {self}"


@dataclass(frozen=True)
class Mutant:
    """A plausible wrong answer; `says` tells the misconception to a reader whose answer behaves exactly like it.

    alone: it hangs, or fails on some ranks only, so it cannot share a run with other mutants.
    """

    name: str
    answer: Callable[..., Any]
    says: str
    look_at: str = ""
    alone: bool = False


def mutants_of(answer: Callable[..., Any], *rows: tuple[str, str, str]) -> tuple[Mutant, ...]:
    """A mutant for each (what is wrong, what it shows, where to look), of an answer that takes `wrong`."""
    return tuple(Mutant(wrong, partial(answer, wrong=wrong), says, look_at) for wrong, says, look_at in rows)


@dataclass(frozen=True)
class Misnomer:
    """One name of several, given for another: what stands against it wherever the other is due, and where to look."""

    name: str
    says: str
    look_at: str


@dataclass(frozen=True)
class Exercise:
    """An exercise as the chapter's notebook announces it, and all that is needed to judge an answer.

    number: "02.3". name: the function's name, unique in the course. difficulty: 1 to 3. minutes: to solve it.
    reference(*args): the right answer; where it raises (a size that does not divide), the answer must raise that type.
    cases(generator): fresh float64 inputs at several tp, drawn from the generator only.
    observe(fn, *args, **kwargs) -> {aspect: value}: see tplearn.checks.observe; it runs in the child process.
    ranks: False, the answer runs in one child process on lists of shards; True, it runs on `case.tp` gloo ranks, and
    the ledger of its collectives is part of what is compared. sent: what the answer may send beside the reference.
    timeout: seconds for one run of the answer, or more where the reference is slow. items: where the result is a list
    that the observer has made of several calls, what a number in it stands for: "for rank {}", or of a step.
    jax: True, the answer, the reference and the mutants run in children whose JAX has 8 devices, in float64. What is
    registered and observed may import jax inside functions only: it must not be loaded here, nor where ranks come from.
    unjudged: aspects that tell one mistake from another, and are neither right nor wrong. plan: an observer of what an
    answer wants, before a program is compiled for it: aspects of `observe`, by which alone mutants are told apart.
    ready: dotted names of what the package has ready that an answer here must do itself.
    held: the place of an argument, a dict of tensors, of which an answer may read parts only: where answers are jailed
    it stays outside, and each part that is read is counted there.
    confused(due, given): where the result is one of a few names, or a bool, what one given for another shows.
    """

    number: str
    name: str
    points: int
    difficulty: int
    minutes: int
    reference: Callable[..., Any]
    cases: Callable[[torch.Generator], list[Case]]
    mutants: tuple[Mutant, ...]
    observe: Callable[..., dict[str, Any]] = forward
    ranks: bool = False
    sent: Traffic = Traffic()
    timeout: float = 10.0
    items: Callable[[int], str] | None = None
    jax: bool = False
    plan: Callable[..., dict[str, Any]] | None = None
    unjudged: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    held: int | None = None
    confused: Callable[[Any, Any], Misnomer | None] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a field cannot be what the notebooks need."""
        if not re.fullmatch(r"\d\d\.\d+", self.number):
            raise ValueError(f"number = {self.number!r} of exercise {self.name!r} must look like '02.3'")
        if not self.name.isidentifier():
            raise ValueError(f"name = {self.name!r} must be the name of the reader's function")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"difficulty = {self.difficulty} of {self.name!r} must be 1, 2 or 3")
        if self.points < 1 or self.minutes < 1:
            raise ValueError(
                f"{self.name!r} needs points and minutes of at least 1, got {self.points} and {self.minutes}"
            )

    @property
    def heading(self) -> str:
        """The exercise's heading in its notebook, without the leading ##."""
        dots = "●" * self.difficulty + "○" * (3 - self.difficulty)
        return f"{self.number} `{self.name}` · {self.points} points · {dots} · {self.minutes} minutes"
