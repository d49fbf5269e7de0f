"""What the wrong answers to exercise 17.2 show: warm-ups of other lengths, no drain, and other orders of backwards."""

from tplearn.checks.ch17_beyond_tp.order_wrong import wrong_one_f_one_b
from tplearn.checks.exercise import mutants_of

WARM_UP = "the forwards before the first pair: min(p − rank − 1, m)."
DRAIN = "the end: the backwards of what the warm-up has put in flight."
OLDEST = "which micro-batch a backward is of: they come back in the order in which they went."

MUTANTS = mutants_of(
    wrong_one_f_one_b,
    (
        "one more in the warm-up",
        "Your warm-up has p − rank forwards, and the pairs come after it. The pair's own forward is one of those p − "
        "rank: this stage keeps one micro-batch more in memory than it needs.",
        WARM_UP,
    ),
    (
        "one fewer in the warm-up",
        "Your warm-up is one forward short. The stage then wants a gradient that cannot have come back yet: its "
        "micro-batch has not reached the last stage, or is on its way.",
        WARM_UP,
    ),
    (
        "no warm-up",
        "Every stage of yours begins with F0, B0. Only the last one can: all others have to wait until B0 comes back, "
        "and stand idle meanwhile. One micro-batch is in the pipeline at a time.",
        WARM_UP,
    ),
    (
        "GPipe",
        "That is GPipe's order: all forwards, then all backwards. Its bubble is the same, but each stage keeps m "
        "micro-batches in memory, where 1F1B keeps p − rank.",
        "what follows the warm-up: a forward and a backward in turn.",
    ),
    (
        "GPipe, backwards in reverse",
        "That is GPipe's order, with the last micro-batch's backward first. In 1F1B a stage begins with backwards as "
        "soon as it can.",
        "what follows the warm-up: a forward and a backward in turn.",
    ),
    (
        "same warm-up everywhere",
        "All your stages have the warm-up of the first one, p − 1. The later a stage is, the sooner a gradient comes "
        "back to it: the last one starts with F0, B0.",
        WARM_UP,
    ),
    (
        "warm-up by rank",
        "Your warm-up has `rank` forwards: it grows along the pipeline, and should shrink. The first stage waits "
        "longest for a gradient.",
        WARM_UP,
    ),
    (
        "warm-up not limited",
        "With fewer micro-batches than stages you run forwards that do not exist. The warm-up has at most m of them.",
        WARM_UP,
    ),
    (
        "negative micro-batches",
        "With fewer micro-batches than stages you run forwards that do not exist, and backwards with negative numbers. "
        "The warm-up has at most m forwards.",
        WARM_UP,
    ),
    (
        "as many stages as micro-batches",
        "With fewer micro-batches than stages your warm-up is that of a pipeline of m stages. There are still p: a "
        "micro-batch passes all of them and comes back, and until then a stage has forwards to run.",
        WARM_UP,
    ),
    (
        "no drain",
        "The backwards of the last micro-batches are missing. After the last pair as many are still in flight as the "
        "warm-up has forwards.",
        DRAIN,
    ),
    (
        "ends with the last forward",
        "Your order ends with the last forward. The backwards of what is in flight then are missing.",
        DRAIN,
    ),
    (
        "all backwards again",
        "After the last pair you run all backwards, also those that the pairs have run. A graph is gone after its "
        "backward.",
        DRAIN,
    ),
    (
        "all forwards again",
        "Your pairs begin again with F0. The warm-up's forwards are run twice.",
        "the forward of pair k: F(warm-up + k).",
    ),
    (
        "last in, first out",
        "Your backward is always of the newest micro-batch. It has just left this stage. The one whose gradient comes "
        "back first is the oldest one in flight.",
        OLDEST,
    ),
    (
        "drain in reverse",
        "Your pairs are right, but the last backwards run from the newest to the oldest. Gradients come back in the "
        "order in which the micro-batches went.",
        OLDEST,
    ),
    (
        "backward first",
        "In your pairs the backward comes before the forward. On the last stage that is a backward of a micro-batch "
        "whose forward has not run.",
        "the pairs: one forward, then one backward.",
    ),
    (
        "backward of the same",
        "Each pair of yours runs F and B of one micro-batch. Between them lies the way to the last stage and back.",
        OLDEST,
    ),
    ("from one", "You count micro-batches from 1. The first one is F0.", "the numbers."),
    ("pairs as lists", "Each pair of yours is a list of its own. One flat list is due.", "+= instead of append."),
    ("small letters", 'You wrote "f0" and "b0". Due is "F0" and "B0".', "the letters."),
    (
        "no numbers",
        "Your order says forward or backward, and not of which micro-batch.",
        'the names: "F0", "B0".',
    ),
)
