"""Chapter 01: count the parameters, cut them, count the KV cache in blocks, see how many sequences fit."""

from tplearn.checks.ch01_why_split.cache import KV_CACHE_BYTES
from tplearn.checks.ch01_why_split.fit import MAX_SEQUENCES
from tplearn.checks.ch01_why_split.parameters import PARAMETER_COUNT
from tplearn.checks.ch01_why_split.weights import WEIGHT_BYTES_PER_RANK
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (PARAMETER_COUNT, WEIGHT_BYTES_PER_RANK, KV_CACHE_BYTES, MAX_SEQUENCES)
