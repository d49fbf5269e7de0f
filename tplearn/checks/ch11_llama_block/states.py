"""Exercise 11.1: the state and the shape of every tensor of half a block, with and without sequence parallelism."""

import torch

from tplearn.checks.exercise import Case, Exercise, mutants_of

States = dict[str, tuple[str, tuple[int, ...]]]


def block_states(batch: int, seq: int, hidden: int, ffn: int, tp: int, sequence_parallel: bool) -> States:
    """{name: (state, shape on a rank)} of the MLP half of a block on tp ranks."""
    return _states(batch, seq, hidden, ffn, tp, sequence_parallel)


def _states(batch: int, seq: int, hidden: int, ffn: int, tp: int, sequence_parallel: bool, wrong: str = "") -> States:
    """The same, with one thing `wrong`."""
    whole, own_tokens = (batch, seq, hidden), (batch, seq // tp, hidden)
    between = ("S(1)", own_tokens) if sequence_parallel else ("R", whole)
    summand = ("R", whole) if wrong == "no summands" else ("P", whole)
    weights = [("S(0)", (ffn // tp, hidden)), ("S(1)", (hidden, ffn // tp))]
    if wrong == "weights as in x A":
        weights = [("S(1)", (hidden, ffn // tp)), ("S(0)", (ffn // tp, hidden))]
    states = {
        "x": ("R", whole) if wrong == "residual whole" else between,
        "normed": between,
        "read": between if wrong == "tokens not gathered" else ("R", whole),
        "inner": ("S(2)", (batch, seq, ffn // tp)),
        "summand": ("P", own_tokens) if wrong == "summand of own tokens" and sequence_parallel else summand,
        "reduced": between,
        "y": ("R", whole) if wrong == "residual whole" else between,
        "norm weight": ("S(0)", (hidden // tp,)) if wrong == "norm sharded" else ("R", (hidden,)),
        "gate weight": weights[0],
        "down weight": weights[1],
        "gradient of read": ("R", whole) if wrong in ("no summands", "gradients finished") else ("P", whole),
        "gradient of norm weight": ("P" if sequence_parallel else "R", (hidden,)),
    }
    if wrong == "norm sharded":
        states["gradient of norm weight"] = states["norm weight"]
    if wrong in ("gradients finished", "copies finished"):
        states["gradient of norm weight"] = ("R", (hidden,))
    return states


def _cases(generator: torch.Generator) -> list[Case]:
    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    cases = []
    for tp in (2, 4, 8):
        for sequence_parallel in (False, True):
            sizes = (pick(2, 7), tp * pick(2, 9), 16 * pick(2, 9), 16 * pick(10, 20))
            cases.append(Case(tp, (*sizes, tp, sequence_parallel)))
    return cases


BLOCK_STATES = Exercise(
    number="11.1",
    name="block_states",
    points=10,
    difficulty=2,
    minutes=12,
    reference=block_states,
    cases=_cases,
    mutants=mutants_of(
        _states,
        (
            "norm sharded",
            "You sharded the norm's weight. A norm divides by the mean over all hidden numbers, so it is not cut, and "
            "every rank holds its whole weight. What sequence parallelism cuts is the tokens that it sees.",
            '"norm weight" and its gradient.',
        ),
        (
            "no summands",
            "You have no P at all. Behind a row cut every rank has the full shape, but only its own inputs are in "
            "it: a summand. The same holds backward, for what a column cut gives back.",
            '"summand" and "gradient of read".',
        ),
        (
            "gradients finished",
            "Forward all is right. Backward you have no summands. Each rank read the same tensor for its own columns, "
            "so each has a part of that gradient; and with sequence parallelism each copy of the norm's weight has met "
            "other tokens.",
            'the two gradients: "gradient of read" always, "gradient of norm weight" with sequence parallelism.',
        ),
        (
            "copies finished",
            "With sequence parallelism each copy of the norm's weight has met its own tokens only. Its gradient is a "
            "summand until sync_gradients has run.",
            '"gradient of norm weight", with sequence_parallel.',
        ),
        (
            "residual whole",
            "With sequence parallelism you kept x and y whole. Own tokens run along the residual as well: that is "
            "where the memory is saved, and a sum of S(1) and S(1) needs nobody.",
            '"x" and "y", with sequence_parallel.',
        ),
        (
            "tokens not gathered",
            "Gate and up would read own tokens only. Their rows lie on this rank and nowhere else, so every token "
            "must come to them: an all-gather stands in front.",
            '"read", with sequence_parallel.',
        ),
        (
            "summand of own tokens",
            "With sequence parallelism the row cut's result is still a summand of all tokens. Own tokens come out of "
            "the reduce-scatter, not before.",
            '"summand", with sequence_parallel.',
        ),
        (
            "weights as in x A",
            "You wrote the weights as [in, out]. nn.Linear keeps [out, in]: gate is cut by outputs, dim 0, and down "
            "by inputs, dim 1.",
            '"gate weight" and "down weight".',
        ),
    ),
)
