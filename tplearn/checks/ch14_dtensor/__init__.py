"""Chapter 14's exercises: plans for models, checked, made quiet, tied, with sequence parallelism; weights, marked."""

from tplearn.checks.ch14_dtensor.checked import CHECKED_PLAN
from tplearn.checks.ch14_dtensor.finish import FINISH_GRADIENTS
from tplearn.checks.ch14_dtensor.mark import MARK_SHARDING
from tplearn.checks.ch14_dtensor.plan import TP_PLAN
from tplearn.checks.ch14_dtensor.quiet import QUIET_PLAN
from tplearn.checks.ch14_dtensor.step import SP_STEP
from tplearn.checks.ch14_dtensor.ties import RETIE
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    CHECKED_PLAN,
    TP_PLAN,
    QUIET_PLAN,
    RETIE,
    SP_STEP,
    FINISH_GRADIENTS,
    MARK_SHARDING,
)
