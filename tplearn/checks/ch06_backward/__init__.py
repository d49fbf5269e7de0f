"""Chapter 06's exercises: collectives with their backward passes, and f and g at their places in an MLP."""

from tplearn.checks.ch06_backward.copy import COPY_TO_GROUP
from tplearn.checks.ch06_backward.gather import GATHER_FROM_GROUP
from tplearn.checks.ch06_backward.inner import INNER_PRODUCT
from tplearn.checks.ch06_backward.reduce import REDUCE_FROM_GROUP
from tplearn.checks.ch06_backward.residual import RESIDUAL_MLP
from tplearn.checks.ch06_backward.sequence import GATHER_SEQUENCE
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    INNER_PRODUCT,
    COPY_TO_GROUP,
    REDUCE_FROM_GROUP,
    GATHER_FROM_GROUP,
    GATHER_SEQUENCE,
    RESIDUAL_MLP,
)
