"""Chapter 15's exercises: annotations, a compiled program's ledger, a loader, copies of KV heads, layers by hand."""

from tplearn.checks.ch15_gspmd.dense import TENSOR_PARALLEL_DENSE
from tplearn.checks.ch15_gspmd.explicit import EXPLICIT_BLOCK
from tplearn.checks.ch15_gspmd.heads import KV_MESH
from tplearn.checks.ch15_gspmd.load import LOAD_SHARDED
from tplearn.checks.ch15_gspmd.mlp import MLP_BY_HAND
from tplearn.checks.ch15_gspmd.rows import READ_LEDGER
from tplearn.checks.ch15_gspmd.specs import PARTITION_SPEC
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    PARTITION_SPEC,
    READ_LEDGER,
    LOAD_SHARDED,
    KV_MESH,
    MLP_BY_HAND,
    TENSOR_PARALLEL_DENSE,
    EXPLICIT_BLOCK,
)
