"""What the wrong answers to exercise 13.2 show: whose tokens count, how many a step has, and which seconds."""

from tplearn.checks.ch13_train_on_a_mesh.rate_wrong import wrong_tokens_per_second
from tplearn.checks.exercise import mutants_of

ROWS = "the number of rows, dp = world_size // tp."
RATE = "the steps from seconds[warmup] on: their tokens over their seconds."

MUTANTS = mutants_of(
    wrong_tokens_per_second,
    (
        "every rank counted",
        "You counted the tokens of every rank. The tp ranks of a row read the same windows, so each token is counted "
        "tp times; and the more a model is cut, the faster it looks.",
        ROWS,
    ),
    (
        "one row",
        "You counted one row's tokens. The other dp − 1 rows read windows of their own in the same time.",
        ROWS,
    ),
    ("tp for dp", "You multiplied by tp. Ranks of a tp group share one batch; it is the dp rows that add to it.", ROWS),
    (
        "one rank's share",
        "You divided the rows' tokens by tp. The ranks of a row share the work on each token, but all the row's tokens "
        "are learnt from.",
        ROWS,
    ),
    (
        "divided by all ranks",
        "You gave the tokens a second of one rank: what the mesh does, divided by all dp · tp ranks. That is a fair "
        "measure of efficiency, and not what was asked for.",
        "the whole mesh's tokens.",
    ),
    (
        "no accumulation",
        "You counted one micro-batch a step. A step ends after `accumulation` of them, and `seconds` are those of "
        "whole steps.",
        "the tokens of a step: accumulation micro-batches on each row.",
    ),
    (
        "accumulation divided",
        "You divided by accumulation. `local_batch` is what a row reads at once; in a step it does so `accumulation` "
        "times.",
        "the tokens of a step: accumulation micro-batches on each row.",
    ),
    (
        "batch forgotten",
        "local_batch is not in your product: a micro-batch has so many windows.",
        "the tokens of a micro-batch.",
    ),
    (
        "windows of seq + 1",
        "You counted seq + 1 tokens a window. So many are read from the text, but the last one is only a target: a "
        "window has seq predictions to learn from.",
        "the tokens of a window.",
    ),
    (
        "seq − 1 targets",
        "You counted seq − 1 tokens a window. With one token more from the text each of the seq tokens has its target.",
        "the tokens of a window.",
    ),
    ("windows a second", "You counted windows, not tokens: seq is not in your product.", "the tokens of a window."),
    (
        "warm-up counted",
        "You counted all steps. The first `warmup` ones are slow (memory is allocated, connections are made), and the "
        "steps that follow in their thousands are not.",
        RATE,
    ),
    (
        "warm-up's seconds counted",
        "You left the tokens of the first `warmup` steps out, but not their seconds.",
        RATE,
    ),
    (
        "warm-up's tokens counted",
        "You left the seconds of the first `warmup` steps out, but not their tokens.",
        RATE,
    ),
    (
        "every rank, warm-up counted",
        "Two things: you counted the tokens of every rank, though the tp ranks of a row read the same windows; and you "
        "counted all steps, though the first `warmup` ones are not to count.",
        f"{ROWS[:-1]}; and {RATE}",
    ),
    (
        "no accumulation, warm-up counted",
        "Two things: you counted one micro-batch a step, though there are `accumulation` of them; and you counted all "
        "steps, though the first `warmup` ones are not to count.",
        f"the micro-batches of a step; and {RATE}",
    ),
    (
        "one warm-up step counted",
        "You counted the last of the slow steps, too: seconds[warmup − 1]. The first one that counts is "
        "seconds[warmup].",
        RATE,
    ),
    (
        "first step alone left out",
        "You left out the first step only. `warmup` says how many are slow.",
        RATE,
    ),
    ("last steps left out", "You left out the last `warmup` steps. The first ones are the slow ones.", RATE),
    ("rounded down", "You rounded down to a whole number.", "//, int() or round(): a rate may have a fraction."),
    ("one step too few", "You left out one step too many: seconds[warmup] is the first one that counts.", RATE),
    ("warm-up alone", "You kept the first `warmup` steps, and left the others out.", RATE),
    (
        "mean of the steps' rates",
        "You averaged the rates of the steps. A short step then counts as much as a long one, and the mean is too "
        "high: 10 tokens in 1 s and 10 tokens in 3 s are 20 in 4 s, 5 a second, and not (10 + 3.3) / 2.",
        RATE,
    ),
    ("median step", "You took the median step. All tokens over all seconds were asked for.", RATE),
    ("fastest step", "You took the fastest step. All tokens over all seconds were asked for.", RATE),
    ("slowest step", "You took the slowest step. All tokens over all seconds were asked for.", RATE),
    ("last step", "You took the last step. All tokens over all seconds were asked for.", RATE),
    ("one step's tokens", "You divided one step's tokens by the seconds of all steps.", RATE),
    ("seconds a token", "You gave seconds a token. Tokens a second is one over that.", RATE),
    ("tokens a step", "You gave the tokens of a step. They still have to be divided by its seconds.", RATE),
)
