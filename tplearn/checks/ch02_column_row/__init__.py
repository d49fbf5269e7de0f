"""Chapter 02: cut a linear layer by its outputs or its inputs, and finish each cut with its own collective.

Weights are `nn.Linear`'s: [out_features, in_features]. Lists are indexed by rank.
"""

from tplearn.checks.ch02_column_row.column import COLUMN_PARALLEL
from tplearn.checks.ch02_column_row.plan import LINEAR_BY_PLAN
from tplearn.checks.ch02_column_row.row import ROW_PARALLEL
from tplearn.checks.ch02_column_row.splits import SPLIT_COLUMNS, SPLIT_ROWS
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (SPLIT_COLUMNS, SPLIT_ROWS, COLUMN_PARALLEL, ROW_PARALLEL, LINEAR_BY_PLAN)
