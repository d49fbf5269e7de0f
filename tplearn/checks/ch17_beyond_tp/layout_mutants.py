"""What the wrong answers to exercise 17.5 show: counts from the other end, and groups that are another's."""

from tplearn.checks.ch17_beyond_tp.layout_wrong import wrong_ranks_of
from tplearn.checks.exercise import mutants_of

STRIDE = "the step between two ranks of a group: the product of the sizes that stand after it in the layout."
OWN = "what stays: this rank's place in all other dimensions."
SEVERAL = "several names: all combinations of their places, with every other place as this rank has it."

MUTANTS = mutants_of(
    wrong_ranks_of,
    (
        "first varies fastest",
        "Your first dimension varies fastest. Here it is the last one, as in a DeviceMesh: with tp last its ranks are "
        "neighbours, and in your layout they are far apart, on other nodes.",
        STRIDE,
    ),
    (
        "sizes before",
        "Your step between ranks is the product of the sizes before the dimension. It is that of those after it.",
        STRIDE,
    ),
    (
        "neighbours",
        "Your groups are always ranks next to each other. That is so for the last dimension alone.",
        STRIDE,
    ),
    (
        "next size alone",
        "Your step is the size of the next dimension alone. All sizes after it count, multiplied.",
        STRIDE,
    ),
    (
        "own size as the step",
        "Your step between ranks is the size of the dimension itself. It is the product of those after it.",
        STRIDE,
    ),
    (
        "bits of the rank",
        "You gave every dimension two places, and the steps 1, 2, 4, 8 from the last one on: the bits of a rank. That "
        "is right where all sizes are 2. A dimension has as many places as its size says.",
        STRIDE,
    ),
    (
        "group of rank 0",
        "You gave rank 0's group, whatever the rank. Each rank has its own place in the other dimensions.",
        OWN,
    ),
    (
        "numbers in the group",
        "You gave the numbers inside the group, 0 to n − 1. Due are the numbers in the world.",
        "what you return: the ranks themselves.",
    ),
    (
        "from this rank on",
        "You began to count at this rank, as if it were the first of its group. The group begins where its place in "
        "that dimension is 0.",
        "the first rank of the group.",
    ),
    (
        "itself left out",
        "This rank is missing from its own group.",
        "the places in the dimension: all of them, its own too.",
    ),
    (
        "same place",
        "You gave the ranks that have this rank's place in the dimension. Those of its group have every other place in "
        "it, and agree with this rank in all other dimensions.",
        OWN,
    ),
    (
        "names one after the other",
        "With two names you put their two groups side by side. All ranks that differ from this one in either name, or "
        "in both, belong together: 2 · 2 of them, not 3.",
        SEVERAL,
    ),
    ("first name alone", "You looked at the first name alone.", SEVERAL),
    ("last name alone", "You looked at the last name alone.", SEVERAL),
    (
        "order of the names",
        "Your ranks are right, in the order of the names. They are due from small to large.",
        "sorted.",
    ),
    (
        "dimensions in alphabetical order",
        "You laid the dimensions out by the alphabet. Their order is the layout's.",
        "the order of `layout`.",
    ),
    (
        "largest inside",
        "You laid the dimensions out by their sizes. Their order is the layout's.",
        "the order of `layout`.",
    ),
)
