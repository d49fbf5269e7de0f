"""Chapter 03: the MLP, column then row: two matrix multiplications, one all-reduce, forward and backward.

Weights are `nn.Linear`'s: [out_features, in_features]. Lists are indexed by rank.
"""

from tplearn.checks.ch03_mlp.backward import MLP_BACKWARD_INPUT
from tplearn.checks.ch03_mlp.communication import MLP_COMMUNICATION_BYTES
from tplearn.checks.ch03_mlp.gate_up import RESHARD_GATE_UP
from tplearn.checks.ch03_mlp.gelu import TP_MLP
from tplearn.checks.ch03_mlp.swiglu import TP_SWIGLU
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (RESHARD_GATE_UP, TP_MLP, TP_SWIGLU, MLP_BACKWARD_INPUT, MLP_COMMUNICATION_BYTES)
