"""Chapter 07's exercises: column and row layers as modules on real ranks, a SwiGLU with one f, and its ledger."""

from tplearn.checks.ch07_mlp_on_gloo.column import COLUMN_LINEAR
from tplearn.checks.ch07_mlp_on_gloo.first_values import INIT_SHARD
from tplearn.checks.ch07_mlp_on_gloo.ledger import MLP_LEDGER
from tplearn.checks.ch07_mlp_on_gloo.row import ROW_LINEAR
from tplearn.checks.ch07_mlp_on_gloo.swiglu import SWIGLU
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (INIT_SHARD, COLUMN_LINEAR, ROW_LINEAR, SWIGLU, MLP_LEDGER)
