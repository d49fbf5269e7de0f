"""Chapter 13's exercises: a mesh's data, speed, gradients, norm and dropout, and a run that moves to another mesh."""

from tplearn.checks.ch13_train_on_a_mesh.data import DATA_RANK
from tplearn.checks.ch13_train_on_a_mesh.dropout import MESH_DROPOUT
from tplearn.checks.ch13_train_on_a_mesh.mean import MEAN_OVER_DP
from tplearn.checks.ch13_train_on_a_mesh.norm import MESH_NORM
from tplearn.checks.ch13_train_on_a_mesh.rate import TOKENS_PER_SECOND
from tplearn.checks.ch13_train_on_a_mesh.reshard import RESHARD_RUN
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    DATA_RANK,
    TOKENS_PER_SECOND,
    MEAN_OVER_DP,
    MESH_NORM,
    MESH_DROPOUT,
    RESHARD_RUN,
)
