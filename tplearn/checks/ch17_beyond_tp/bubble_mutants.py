"""What the wrong answers to exercise 17.1 show: the other fraction, ramps of another length, and where v belongs."""

from tplearn.checks.exercise import mutants_of

WHOLE = "what you divide by: all slots from the first forward to the last backward, the idle ones among them."
RAMP = "the idle slots of a rank: for p ranks in a row, p − 1."
CHUNKS = "v: a chunk takes 1/v of a slot, so the ramps are 1/v as long, and the work is as long as before."

FORMULAS = {
    "of the ideal time": lambda p, m, v: (p - 1) / (v * m),
    "of the ideal time, without v": lambda p, m, v: (p - 1) / m,
    "swapped": lambda p, m, v: (m - 1) / (v * p + m - 1),
    "v forgotten": lambda p, m, v: (p - 1) / (m + p - 1),
    "v on the ranks": lambda p, m, v: (v * p - 1) / (m + v * p - 1),
    "v on both": lambda p, m, v: (v * p - 1) / (v * m + v * p - 1),
    "v on the idle slots alone": lambda p, m, v: (p - 1) / v / (m + p - 1),
    "divided by v": lambda p, m, v: (p - 1) / (m / v + p - 1),
    "p idle slots": lambda p, m, v: p / (v * m + p),
    "p in the sum": lambda p, m, v: (p - 1) / (v * m + p),
    "m − 1": lambda p, m, v: (p - 1) / (v * (m - 1) + p - 1),
    "ramps counted twice": lambda p, m, v: 2 * (p - 1) / (v * m + 2 * (p - 1)),
    "half the ramps": lambda p, m, v: (p - 1) / (2 * v * m + p - 1),
    "busy": lambda p, m, v: v * m / (v * m + p - 1),
    "in slots": lambda p, m, v: (p - 1) / v,
    "per cent": lambda p, m, v: 100 * (p - 1) / (v * m + p - 1),
    "no micro-batches": lambda p, m, v: (p - 1) / p,
    "m shared out": lambda p, m, v: (p - 1) / (v * m / p + p - 1),
    "rounded down": lambda p, m, v: (p - 1) // (v * m + p - 1),
    "all ranks added up": lambda p, m, v: p * (p - 1) / (v * m + p - 1),
    "times as long": lambda p, m, v: (v * m + p - 1) / (v * m),
}


def wrong_bubble(p: int, m: int, v: int = 1, *, wrong: str) -> float:
    """The idle fraction, with one thing `wrong`."""
    return FORMULAS[wrong](p, m, v)


MUTANTS = mutants_of(
    wrong_bubble,
    (
        "of the ideal time",
        "You divided by the time of the work alone. That fraction, (p − 1) / (v · m), is a bubble too: the one of the "
        "Megatron paper, which may exceed 1. Asked is the idle part of the whole time.",
        WHOLE,
    ),
    (
        "of the ideal time, without v",
        "Two things: you divided by the time of the work alone, and v is not in your fraction.",
        f"{WHOLE[:-1]}; and {CHUNKS}",
    ),
    (
        "swapped",
        "You exchanged p and m. The ramps grow with the ranks, and micro-batches make up for them.",
        RAMP,
    ),
    ("v forgotten", "v is not in your fraction. Interleaving is there to make the bubble smaller.", CHUNKS),
    (
        "v on the ranks",
        "You multiplied the ranks by v, as if each chunk had a rank of its own. There are still p ranks, and a "
        "rank goes on with the next of its chunks while it would have waited.",
        CHUNKS,
    ),
    (
        "v on both",
        "You counted v · p stages in a row, each 1/v of a slot long. A micro-batch passes through so many, but a rank "
        "does not wait for all of them: v of them are its own, and the last rank starts when p − 1 chunks are done.",
        CHUNKS,
    ),
    (
        "v on the idle slots alone",
        "You divided the idle slots by v above the line, and not below it: the whole time holds the idle slots, too.",
        WHOLE,
    ),
    (
        "divided by v",
        "Your bubble grows with v: you divided the micro-batches by v. Shorter chunks fill the pipeline sooner.",
        CHUNKS,
    ),
    (
        "p idle slots",
        "You counted p idle slots. The first rank starts at once: the last one waits for the p − 1 before it.",
        RAMP,
    ),
    (
        "p in the sum",
        "Your idle slots are right, but the whole time has one slot too many. It is the busy slots and the idle ones.",
        WHOLE,
    ),
    (
        "m − 1",
        "You counted m − 1 micro-batches of work. A rank works on all m of them.",
        "the busy slots of a rank: m of them.",
    ),
    (
        "ramps counted twice",
        "You counted p − 1 idle slots in the forward and p − 1 more in the backward. A slot here is a forward *and* a "
        "backward: each ramp leaves a part of a slot idle, and both together make p − 1 slots.",
        RAMP,
    ),
    (
        "half the ramps",
        "You counted forward and backward as a slot each, m of both, but only one of the two ramps. Either count 2m "
        "and 2(p − 1), or m and p − 1.",
        RAMP,
    ),
    ("busy", "You gave the busy part of the time. The bubble is the rest.", "what is on top of the fraction."),
    (
        "in slots",
        "You gave the idle time in slots. Asked is what part of the whole time that is.",
        WHOLE,
    ),
    ("per cent", "You gave the bubble in per cent. Asked is a fraction, from 0 to 1.", "the last factor."),
    (
        "no micro-batches",
        "You gave the bubble of a batch in one piece: one rank works at a time. m micro-batches keep the others busy.",
        "m.",
    ),
    (
        "m shared out",
        "You shared the micro-batches out over the ranks. Each of them passes through all ranks.",
        "the busy slots of a rank: m of them.",
    ),
    ("rounded down", "You rounded down to a whole number.", "//, int() or round(): a fraction is due."),
    (
        "all ranks added up",
        "You added up the idle slots of all ranks, and divided by the time of one. Each rank has p − 1 of them.",
        RAMP,
    ),
    (
        "times as long",
        "You gave how many times as long the step takes as its work alone. Asked is the idle part of it.",
        WHOLE,
    ),
)
