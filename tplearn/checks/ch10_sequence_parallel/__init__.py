"""Chapter 10's exercises: tokens cut over ranks, norms and an MLP on them, positions, and the memory that it saves."""

from tplearn.checks.ch10_sequence_parallel.activations import ACTIVATION_BYTES
from tplearn.checks.ch10_sequence_parallel.mlp import SP_MLP
from tplearn.checks.ch10_sequence_parallel.norm import NORM_ON_SHARDS
from tplearn.checks.ch10_sequence_parallel.positions import POSITIONS_OF_RANK
from tplearn.checks.ch10_sequence_parallel.regather import REGATHER_LINEAR
from tplearn.checks.ch10_sequence_parallel.shard import SHARD_SEQUENCE
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    SHARD_SEQUENCE,
    SP_MLP,
    NORM_ON_SHARDS,
    POSITIONS_OF_RANK,
    ACTIVATION_BYTES,
    REGATHER_LINEAR,
)
