"""Chapter 16's exercises: what a collective, a block and a token cost, and which layout to take for that."""

from tplearn.checks.ch16_cost.block import BLOCK_FLOPS
from tplearn.checks.ch16_cost.collective import COLLECTIVE_SECONDS
from tplearn.checks.ch16_cost.crossover import CROSSOVER_TOKENS
from tplearn.checks.ch16_cost.decode import DECODE_SECONDS
from tplearn.checks.ch16_cost.fit import FIT_ALPHA_BETA
from tplearn.checks.ch16_cost.largest import MAX_TP
from tplearn.checks.ch16_cost.recommend import RECOMMEND_PARALLELISM
from tplearn.checks.ch16_cost.scaling import PREDICT_TOKENS_PER_SECOND
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    FIT_ALPHA_BETA,
    COLLECTIVE_SECONDS,
    BLOCK_FLOPS,
    DECODE_SECONDS,
    PREDICT_TOKENS_PER_SECOND,
    MAX_TP,
    CROSSOVER_TOKENS,
    RECOMMEND_PARALLELISM,
)
