"""Chapter 12's exercises: a rank's own bytes, rotary layouts, long texts, writing, agreeing, other numbers of ranks."""

from tplearn.checks.ch12_real_weights.decode import GREEDY_DECODE
from tplearn.checks.ch12_real_weights.frequencies import LLAMA3_FREQUENCIES
from tplearn.checks.ch12_real_weights.read import READ_SHARD
from tplearn.checks.ch12_real_weights.reshard import RESHARD
from tplearn.checks.ch12_real_weights.rotary import TO_HUGGING_FACE_ROTARY
from tplearn.checks.ch12_real_weights.tokens import AGREE_ON_TOKENS
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    READ_SHARD,
    TO_HUGGING_FACE_ROTARY,
    LLAMA3_FREQUENCIES,
    GREEDY_DECODE,
    AGREE_ON_TOKENS,
    RESHARD,
)
