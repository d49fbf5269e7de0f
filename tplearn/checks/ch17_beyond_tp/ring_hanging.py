"""What answers to exercise 17.7 show whose ranks wait for each other, or for the wrong one."""

from functools import partial

from tplearn.checks.ch17_beyond_tp.ring_wrong import wrong_ring_attention
from tplearn.checks.exercise import Mutant


def _alone(wrong: str, says: str, look_at: str) -> Mutant:
    return Mutant(wrong, partial(wrong_ring_attention, wrong=wrong), says, look_at, alone=True)


BOTH = "send and recv: isend first, then recv, then wait. Or isend and irecv, and wait for both."

HANGING = (
    _alone(
        "send before recv",
        "Every rank sends first, and none receives: a send ends when somebody has begun to receive.",
        BOTH,
    ),
    _alone(
        "recv before send",
        "Every rank waits for its left neighbour, and none sends.",
        BOTH,
    ),
    _alone(
        "numbers of the world",
        "You counted the neighbours in the group, and named them to send and recv as if they were ranks of the world. "
        "In a ring of ranks 0 and 2, number 1 is rank 2.",
        "group_dst and group_src, where you have dst and src.",
    ),
    _alone(
        "no group given",
        "You counted the neighbours in the group, and sent in the world. In a ring of ranks 1 and 3, number 1 is rank "
        "3, and rank 1 is number 0: it sent to itself.",
        "group=group, with group_dst and group_src.",
    ),
)
