"""Exercise 03.2: an MLP with GELU: column, activation on the finished pieces, row, one all-reduce."""

from collections.abc import Callable

from torch import Generator, Tensor
from torch.nn.functional import gelu

from tplearn.checks.ch03_mlp.inputs import (
    NO_WIRE,
    SIZES,
    TOKENS,
    Ending,
    averaged,
    kept,
    sizes,
    summed,
    summed_twice,
    unrecorded_sum,
)
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def tp_mlp(x: Tensor, up_shards: list[Tensor], down_shards: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """x: [tokens, hidden]; up_shards[r]: [ffn/p, hidden]; down_shards[r]: [hidden, ffn/p] → p of [tokens, hidden]."""
    return _ending_in(summed)(x, up_shards, down_shards, ledger=ledger)


def mlp_cases(generator: Generator) -> list[Case]:
    """One MLP on each tp."""
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator)
        x, up, down = (randn(generator, *shape) for shape in ((TOKENS, hidden), (ffn, hidden), (hidden, ffn)))
        cases.append(Case(tp, (x, split(up, tp, 0), split(down, tp, 1))))
    return cases


def _ending_in(ending: Ending) -> Callable[..., list[Tensor]]:
    """The MLP with another ending: right up to the summands."""

    def answer(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
        return ending([gelu(x @ up.T) @ down.T for up, down in zip(ups, downs, strict=True)], ledger)

    return answer


def _gathered_in_between(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    wholes = [gelu(h) for h in all_gather([x @ up.T for up in ups], 1, ledger=ledger)]  # [tokens, ffn] on every rank
    pieces = [split(whole, len(ups), 1)[rank] for rank, whole in enumerate(wholes)]
    return all_reduce([h @ down.T for h, down in zip(pieces, downs, strict=True)], ledger=ledger)


def _pieces_summed(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    pieces = all_reduce([x @ up.T for up in ups], ledger=ledger)
    return all_reduce([gelu(h) @ down.T for h, down in zip(pieces, downs, strict=True)], ledger=ledger)


def _activation_last(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    return [gelu(y) for y in all_reduce([x @ u.T @ d.T for u, d in zip(ups, downs, strict=True)], ledger=ledger)]


def _activation_on_parts(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    return all_reduce([gelu(x @ u.T @ d.T) for u, d in zip(ups, downs, strict=True)], ledger=ledger)


def _no_activation(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    return all_reduce([x @ u.T @ d.T for u, d in zip(ups, downs, strict=True)], ledger=ledger)


def _gather_at_the_end(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    return all_gather(parts, 1, ledger=ledger)


def _tanh_gelu(x: Tensor, ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    hidden = [gelu(x @ up.T, approximate="tanh") for up in ups]
    return all_reduce([h @ down.T for h, down in zip(hidden, downs, strict=True)], ledger=ledger)


TP_MLP = Exercise(
    number="03.2",
    name="tp_mlp",
    points=10,
    difficulty=2,
    minutes=10,
    reference=tp_mlp,
    cases=mlp_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=(
        Mutant(
            "gathered in between",
            _gathered_in_between,
            "The numbers are right and the bill is not: you gathered the hidden pieces, applied gelu, and cut them "
            "again. Each piece was finished, and gelu looks at one number at a time, so it may run on a piece. "
            "One all-reduce at the end is all that an MLP needs.",
            "what the row-parallel half wants as its input.",
        ),
        Mutant(
            "two all-reduces",
            _pieces_summed,
            "You all-reduced after the first matmul as well. What the ranks hold there are different columns of the "
            "hidden layer, finished pieces. Their sum means nothing. Only the second matmul leaves summands.",
            "the collective between the two matmuls: there is none.",
        ),
        Mutant(
            "summed twice",
            _ending_in(summed_twice),
            "You all-reduced a result that was already summed, so it is tp times too large. After an all-reduce every "
            "rank holds the whole: it is replicated, and must not be summed again.",
            "the second all_reduce.",
        ),
        Mutant(
            "activation after the sum",
            _activation_last,
            "The activation comes at the very end, after the sum. An MLP bends between its two matmuls; without that "
            "they are one matmul. Apply gelu to each rank's hidden piece, inside the cut.",
            "where gelu stands: before down, not after it.",
        ),
        Mutant(
            "activation on the summands",
            _activation_on_parts,
            "gelu was applied to each rank's summand, before the sum. gelu(a) + gelu(b) is not gelu(a + b). It "
            "belongs to the finished hidden pieces, between the matmuls.",
            "whether what enters gelu is a piece (finished) or a part (to be summed).",
        ),
        Mutant(
            "no activation",
            _no_activation,
            "There is no activation at all. Two matmuls in a row are one matmul, and the result is x · up · down.",
            "gelu.",
        ),
        Mutant(
            "never summed",
            _ending_in(kept),
            "Each rank kept its own summand. It has the right shape, and holds the share of ffn/tp hidden units only. "
            "The one all-reduce of the MLP is missing.",
            "whether rank 0's result depends on rank 1's shards.",
        ),
        Mutant(
            "gather for sum",
            _ending_in(_gather_at_the_end),
            "You put the summands side by side. The second matmul is cut along the dimension it sums over, so its "
            "results lie on top of each other, and are added.",
            "the shape of one rank's result, against the shape of x.",
        ),
        Mutant(
            "mean for sum",
            _ending_in(averaged),
            "You averaged the summands: the result is tp times too small. The ranks hold different parts of one sum.",
            "the division by the number of ranks.",
        ),
        Mutant("sum without a collective", _ending_in(unrecorded_sum), NO_WIRE, "all_reduce(parts, ledger=ledger)."),
        Mutant(
            "tanh gelu",
            _tanh_gelu,
            "You used the tanh approximation of gelu. It is off by up to 0.0005, which float64 sees at once. The "
            "exercise asks for the exact one, the default of torch.nn.functional.gelu.",
            "approximate='tanh'.",
        ),
    ),
)
