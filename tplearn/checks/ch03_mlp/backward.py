"""Exercise 03.4: the gradient of an MLP's input, by hand: it too is a sum over ranks."""

from collections.abc import Callable

from torch import Generator, Tensor

from tplearn.checks.ch03_mlp.inputs import NO_WIRE, SIZES, TOKENS, Ending, averaged, kept, sizes, summed, unrecorded_sum
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def mlp_backward_input(
    grad_output: Tensor, hidden_shards: list[Tensor], up_shards: list[Tensor], down_shards: list[Tensor], ledger: Ledger
) -> list[Tensor]:
    """grad_output: [tokens, hidden]; hidden_shards[r]: [tokens, ffn/p], before the relu → p of [tokens, hidden]."""
    return _ending_in(summed)(grad_output, hidden_shards, up_shards, down_shards, ledger=ledger)


def backward_cases(generator: Generator) -> list[Case]:
    """One relu MLP on each tp: what its forward pass saved, and the gradient that arrives at its output."""
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator)
        x, up, down = (randn(generator, *shape) for shape in ((TOKENS, hidden), (ffn, hidden), (hidden, ffn)))
        grad_output = randn(generator, TOKENS, hidden)
        cases.append(Case(tp, (grad_output, split(x @ up.T, tp, 1), split(up, tp, 0), split(down, tp, 1))))
    return cases


def _ending_in(ending: Ending) -> Callable[..., list[Tensor]]:
    """The backward pass with another ending: right up to the summands."""

    def answer(
        grad: Tensor, hiddens: list[Tensor], ups: list[Tensor], downs: list[Tensor], ledger: Ledger
    ) -> list[Tensor]:
        shards = zip(hiddens, ups, downs, strict=True)
        return ending([((grad @ down) * (h > 0)) @ up for h, up, down in shards], ledger)

    return answer


def _no_mask(
    grad: Tensor, hiddens: list[Tensor], ups: list[Tensor], downs: list[Tensor], ledger: Ledger
) -> list[Tensor]:
    return all_reduce([grad @ down @ up for up, down in zip(ups, downs, strict=True)], ledger=ledger)


def _relu_of_gradient(
    grad: Tensor, hiddens: list[Tensor], ups: list[Tensor], downs: list[Tensor], ledger: Ledger
) -> list[Tensor]:
    return all_reduce([(grad @ down).clamp(min=0) @ up for up, down in zip(ups, downs, strict=True)], ledger=ledger)


def _times_hidden(
    grad: Tensor, hiddens: list[Tensor], ups: list[Tensor], downs: list[Tensor], ledger: Ledger
) -> list[Tensor]:
    shards = zip(hiddens, ups, downs, strict=True)
    return all_reduce([((grad @ down) * h.clamp(min=0)) @ up for h, up, down in shards], ledger=ledger)


def _gradient_reduced_first(
    grad: Tensor, hiddens: list[Tensor], ups: list[Tensor], downs: list[Tensor], ledger: Ledger
) -> list[Tensor]:
    shards = zip(all_reduce([grad for _ in ups], ledger=ledger), hiddens, ups, downs, strict=True)
    return all_reduce([((g @ down) * (h > 0)) @ up for g, h, up, down in shards], ledger=ledger)


def _gather_at_the_end(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    return all_gather(parts, 1, ledger=ledger)


MLP_BACKWARD_INPUT = Exercise(
    number="03.4",
    name="mlp_backward_input",
    points=10,
    difficulty=3,
    minutes=15,
    reference=mlp_backward_input,
    cases=backward_cases,
    observe=WithLedger(forward),
    mutants=(
        Mutant(
            "all-reduce forgotten",
            _ending_in(kept),
            "Each rank kept its own part of the gradient. x went to every rank, so each rank sends back a part of "
            "dx, and the parts must be summed. In a deep model this bug is quiet: the loss still falls, but layers "
            "below learn from one rank's opinion.",
            "the all-reduce of the backward pass, after up.",
        ),
        Mutant(
            "summed twice",
            _gradient_reduced_first,
            "Two all-reduces, and dx is tp times too large. Either you summed dx again when it was whole, or you "
            "summed grad_output first. That one is replicated: the forward pass ended in an all-reduce, every rank "
            "holds the same y, so every rank holds the same dy.",
            "which all_reduce gets something that is whole already.",
        ),
        Mutant(
            "mask forgotten",
            _no_mask,
            "The gradient went straight through the relu. Where a hidden number was negative, relu put out zero, and "
            "no gradient comes back through it.",
            "(hidden > 0), between down and up.",
        ),
        Mutant(
            "relu of the gradient",
            _relu_of_gradient,
            "You cut off the negative gradients. What counts is the sign of the hidden number that went forward, not "
            "the sign of the gradient that comes back.",
            "hidden_shards[rank]: where it enters.",
        ),
        Mutant(
            "times relu(hidden)",
            _times_hidden,
            "You multiplied by relu(hidden). The derivative of relu is 0 or 1, the mask hidden > 0.",
            "what multiplies grad_output @ down.",
        ),
        Mutant(
            "gather for sum",
            _ending_in(_gather_at_the_end),
            "You put the parts of dx side by side. Each of them has dx's full shape: they are summands.",
            "the shape of one rank's part, against the shape of x.",
        ),
        Mutant(
            "mean for sum",
            _ending_in(averaged),
            "You averaged the parts. Averaging is for data parallel copies; these are parts of one sum.",
            "the division by the number of ranks.",
        ),
        Mutant("sum without a collective", _ending_in(unrecorded_sum), NO_WIRE, "all_reduce(parts, ledger=ledger)."),
    ),
)
