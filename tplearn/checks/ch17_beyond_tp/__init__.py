"""Chapter 17's exercises: pipelines, whose layers and whose neighbours a rank has, and attention over a ring."""

from tplearn.checks.ch17_beyond_tp.bubble import BUBBLE
from tplearn.checks.ch17_beyond_tp.layers import SPLIT_LAYERS
from tplearn.checks.ch17_beyond_tp.layout import RANKS_OF
from tplearn.checks.ch17_beyond_tp.order import ONE_F_ONE_B
from tplearn.checks.ch17_beyond_tp.pipeline import PIPELINE_STEP
from tplearn.checks.ch17_beyond_tp.ring import RING_ATTENTION
from tplearn.checks.ch17_beyond_tp.zigzag import ZIGZAG
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    BUBBLE,
    ONE_F_ONE_B,
    PIPELINE_STEP,
    SPLIT_LAYERS,
    RANKS_OF,
    ZIGZAG,
    RING_ATTENTION,
)
