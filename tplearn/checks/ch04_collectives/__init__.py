"""Chapter 04: a ring built from send and receive with a byte budget, its cost as a formula, and typed states."""

from tplearn.checks.ch04_collectives.all_gather import RING_ALL_GATHER
from tplearn.checks.ch04_collectives.all_reduce import RING_ALL_REDUCE
from tplearn.checks.ch04_collectives.cost import BYTES_PER_RANK
from tplearn.checks.ch04_collectives.redistribute import REDISTRIBUTE
from tplearn.checks.ch04_collectives.reduce_scatter import RING_REDUCE_SCATTER

EXERCISES = (RING_REDUCE_SCATTER, RING_ALL_GATHER, RING_ALL_REDUCE, BYTES_PER_RANK, REDISTRIBUTE)
