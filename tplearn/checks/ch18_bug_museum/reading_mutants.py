"""What the wrong answers to exercise 18.1 show: scales, ranks, factors and copies."""

from tplearn.checks.ch18_bug_museum.reading_wrong import wrong_reading
from tplearn.checks.exercise import mutants_of

ERROR = "error: the largest |own − right| of all ranks, over the largest |right|."
FACTOR = "factor: one number for all entries of all ranks, or None."
AGREE = "agree: the copies among each other, within 1e-10 of the largest right number."

MUTANTS = mutants_of(
    wrong_reading,
    (
        "absolute",
        "Your error is a difference, not a relative one. Of a gradient whose numbers are near 1e-3 a bug looks small, "
        "and of large numbers rounding looks large.",
        ERROR,
    ),
    (
        "each shard's own scale",
        "You divided each shard's difference by the largest number of that shard. The scale is one for all ranks: the "
        "largest number of the whole right tensor.",
        ERROR,
    ),
    (
        "rounded",
        "You rounded to some digits, as the chapter does for print. Return what you measured.",
        "error and factor, unrounded.",
    ),
    (
        "mean",
        "You took the mean difference. A bug may sit in one row of an embedding or on one rank of four: the largest "
        "difference sees it whatever its share.",
        ERROR,
    ),
    (
        "each entry by itself",
        "You divided entry by entry. Where the right entry is 0 or nearly so, rounding becomes a huge error.",
        ERROR,
    ),
    (
        "scale of own",
        "You divided by the largest number of your own tensor. What is wrong is no measure: where nothing came back "
        "there is nothing to divide by.",
        ERROR,
    ),
    (
        "norms",
        "You took norms. They spread one wrong entry over all the others; the largest difference is asked for.",
        ERROR,
    ),
    (
        "signed",
        "You took the largest difference with its sign. Where all numbers are too small, none of them is above 0.",
        "the absolute value, before the maximum.",
    ),
    (
        "rank 0 alone",
        "You looked at rank 0. Of a bug on another rank nothing is seen there; and with one rank there is nobody to "
        "disagree with.",
        "own: all ranks of it.",
    ),
    (
        "rank 0's numbers",
        "Your error and factor are rank 0's. All ranks run one program, and a bug can still show on one of them alone: "
        "on the rank that has the padding word, or the last rows.",
        "own: all ranks of it.",
    ),
    (
        "always rows",
        "You cut the right tensor along dim 0. A row-parallel layer's weight is cut along its inputs, dim 1: compare "
        "with dim.",
        "right.chunk(p, dim).",
    ),
    (
        "difference in own precision",
        "You subtracted first and went to float64 afterwards. In bfloat16 the difference is rounded before you see it.",
        "x.double() - right.double().",
    ),
    (
        "zeros left out",
        "You judged the factor only where the right number is not 0. own = c · right says that own is 0 there, too.",
        FACTOR,
    ),
    (
        "own precision",
        "You computed in the precision that the tensors came in. In bfloat16 a difference is rounded before you see "
        "it: two digits are left.",
        "x.double(), first.",
    ),
    (
        "float32",
        "You computed in float32: it keeps 7 digits, so rounding shows at 1e-7, and 1e-10 means nothing.",
        "x.double(), first.",
    ),
    (
        "factor of the norms",
        "You gave the ratio of two norms. There always is one, of tensors that have nothing in common too; a factor is "
        "one number by which every entry is off.",
        FACTOR,
    ),
    (
        "no sign",
        "Your factor has no sign. Where own is −2 · right, the factor is −2.",
        FACTOR,
    ),
    (
        "factor not tested",
        "You gave the factor that fits best, and did not ask whether it fits. Subtract factor · right from own: what "
        "is left must be rounding.",
        FACTOR,
    ),
    (
        "upside down",
        "You gave right / own. A gradient that was summed tp times too often has the factor tp, and one that was "
        "divided has 1/tp.",
        "factor: own over right.",
    ),
    (
        "factor to the last bit",
        "You asked for own = factor · right to the last bit. Ranks add in another order than one process, so the last "
        "digits differ.",
        FACTOR,
    ),
    (
        "a percent is nothing",
        "You let a factor pass that misses by a percent. In float64 rounding is near 1e-15: what is off by more than "
        "1e-10 is off.",
        FACTOR,
    ),
    (
        "no factor where right",
        "You gave None where nothing is off. own = 1 · right is a factor too: 1.",
        FACTOR,
    ),
    (
        "shards compared",
        "You compared shards with each other. They hold different rows, and should differ: there is nothing on which "
        "they could disagree.",
        "agree with a dim: True.",
    ),
    (
        "bit for bit",
        "You compared copies bit for bit. Copies that were added up in another order differ in the last digit, and "
        "agree.",
        AGREE,
    ),
    (
        "agreement with the right one",
        "You asked whether the ranks are right, not whether they agree. All can be wrong in the same way: that tells "
        "another bug.",
        AGREE,
    ),
)
