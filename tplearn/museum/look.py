"""One pass through an exhibit, alone or on a rank among others: its result, its gradients, and whose rows they are."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tplearn.museum.books import Books
from tplearn.museum.exhibits import Build, Exhibit, Finish, find, sync
from tplearn.museum.sizes import Sizes, inputs_of
from tplearn.parallel import Place, partitions
from tplearn.parallel.parameters import draw
from tplearn.ranks.ledger import Row

DTYPES = (torch.float64, torch.bfloat16)


@dataclass(frozen=True)
class Rows:
    """Some rows of a dense tensor, along `dim` from `start` on, as one rank has them."""

    dim: int
    start: int
    here: Tensor

    @property
    def key(self) -> tuple[int, int, int]:
        """What equal keys on two ranks say: both hold the same."""
        return self.dim, self.start, self.here.shape[self.dim]

    def of(self, dense: Tensor) -> Tensor:
        """The same rows of the right tensor."""
        return dense.narrow(*self.key)


@dataclass(frozen=True)
class Look:
    """What one rank has of an exhibit: by dtype and name, "y" for the result; what it sent, and how many numbers it
    holds, {"own": ..., "due": ...} both.
    """

    seen: tuple[dict[str, list[Rows]], ...]
    sent: dict[str, list[list[Row]]]
    """phase by phase, on float64"""
    held: dict[str, int]


def look(names: Sequence[str], sizes: Sizes, seed: int, mended: bool) -> list[Look]:
    """On every rank of the default group: the exhibits of these names, one after the other, or the right ones."""
    torch.set_num_threads(1)  # these tensors are small: a second thread would cost more than it brings
    exhibits = [replace(one, build=one.right, finish=sync) if mended else one for one in map(find, names)]
    return [_look(exhibit, sizes, seed + number, Place.of()) for number, exhibit in enumerate(exhibits)]


def _look(exhibit: Exhibit, sizes: Sizes, seed: int, place: Place) -> Look:
    how = exhibit.inputs, sizes, seed, place
    books = {"own": Books(place), "due": Books(place)}
    exact, rounded = DTYPES
    own = run(exhibit.build, exhibit.finish, *how, exact, books["own"])
    low = run(exhibit.build, exhibit.finish, *how, rounded)
    due = run(exhibit.right, sync, *how, exact, books["due"])
    sent = {side: book.phases for side, book in books.items()}
    return Look((rows_of(*own), rows_of(*low)), sent, {"own": numbers_in(own[0]), "due": numbers_in(due[0])})


def twin(exhibit: Exhibit, sizes: Sizes, seed: int) -> tuple[tuple[dict[str, Tensor], ...], int]:
    """The dense model in this process: by dtype the right tensors by name, and how many numbers it holds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as above
    try:
        with torch.random.fork_rng(devices=[]):
            passes = [run(exhibit.right, sync, exhibit.inputs, sizes, seed, Place(), dtype) for dtype in DTYPES]
    finally:
        torch.set_num_threads(threads)
    right = tuple({name: rows.here for name, (rows,) in rows_of(*one, whole=True).items()} for one in passes)
    return right, numbers_in(passes[0][0])


Passed = tuple[nn.Module, Tensor, Tensor]


def run(
    build: Build,
    finish: Finish,
    kind: str,
    sizes: Sizes,
    seed: int,
    place: Place,
    dtype: torch.dtype,
    books: Books | None = None,
) -> Passed:
    """A fresh model on fresh numbers, the same for one seed → model, first input, result; all gradients are there.

    books: what is sent is entered there.
    """
    torch.manual_seed(seed)
    model = build(sizes, place).double()
    torch.manual_seed(seed)  # layers may have drawn more or fewer numbers than others
    _draw(model)
    model = model.to(dtype)
    generator = torch.Generator().manual_seed(seed)
    inputs = [x.to(dtype).requires_grad_() if x.is_floating_point() else x for x in inputs_of(kind, sizes, generator)]
    begin: Callable[[], None] = books.begin if books else lambda: None
    with books.recorder.watching() if books else nullcontext():
        begin()
        y = model(*inputs)
        begin()
        y.backward(torch.randn(y.shape, dtype=torch.float64, generator=generator).to(dtype))
        begin()
        finish(model, place)
    return model, inputs[0], y.detach()


@torch.no_grad()
def _draw(model: nn.Module) -> None:
    """Every parameter anew, in the order of their names; biases and norms are large, so that every mistake shows."""
    for _, parameter, cut in sorted(partitions(model), key=lambda item: item[0]):
        shape = parameter.shape if cut is None else cut.dense_shape
        spread = 1.0 if len(shape) == 1 else shape[1] ** -0.5
        if cut is None:
            parameter.normal_(std=spread)
        else:
            draw(parameter, cut, lambda dense, spread=spread: dense.normal_(std=spread))


def rows_of(model: nn.Module, x: Tensor, y: Tensor, whole: bool = False) -> dict[str, list[Rows]]:
    """The result "y", the gradient of "x" where it has one, and every parameter's; `whole`: nothing is cut."""
    found = {"y": [Rows(0, 0, torch.atleast_1d(y))]}
    if x.requires_grad:
        found["x"] = [Rows(0, 0, _gradient(x))]
    for name, parameter, cut in partitions(model):
        gradient = _gradient(parameter)
        found[name] = [Rows(0, 0, gradient)]
        if cut is not None and not whole:
            found[name] = [Rows(cut.dim, chunk.start, rows.clone()) for chunk, rows in cut.views(gradient)]
    return found


def _gradient(x: Tensor) -> Tensor:
    """Zeros where none has come back."""
    return torch.zeros_like(x) if x.grad is None else x.grad


def numbers_in(model: nn.Module) -> int:
    """How many numbers the parameters have."""
    return sum(parameter.numel() for parameter in model.parameters())
