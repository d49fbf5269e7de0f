"""Chapter 05's exercises: a ring in a group, four programs that hang, mended, and a whole program for torchrun."""

from tplearn.checks.ch05_real_ranks.neighbours import EXCHANGE
from tplearn.checks.ch05_real_ranks.program import TABLE_COLUMN
from tplearn.checks.ch05_real_ranks.ring import ALL_REDUCE_BY_RING
from tplearn.checks.ch05_real_ranks.settings import SHARE_SETTINGS
from tplearn.checks.ch05_real_ranks.two_groups import TWO_GROUPS
from tplearn.checks.ch05_real_ranks.uneven import SUM_UNTIL_DONE
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    ALL_REDUCE_BY_RING,
    EXCHANGE,
    SUM_UNTIL_DONE,
    SHARE_SETTINGS,
    TWO_GROUPS,
    TABLE_COLUMN,
)
