"""Chapter 08's exercises: heads to ranks, a fused weight, the attention layer, copied KV heads, a cache per rank."""

from tplearn.checks.ch08_attention.decode import DECODE_WITH_CACHE
from tplearn.checks.ch08_attention.fused import SHARD_QKV
from tplearn.checks.ch08_attention.kv_gradients import SUM_KV_GRADIENTS
from tplearn.checks.ch08_attention.layer import TP_ATTENTION
from tplearn.checks.ch08_attention.ranges import HEADS_OF_RANK
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (HEADS_OF_RANK, SHARD_QKV, TP_ATTENTION, SUM_KV_GRADIENTS, DECODE_WITH_CACHE)
