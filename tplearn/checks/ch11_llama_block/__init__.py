"""Chapter 11's exercises: the states of a block, the block itself three ways, the model's loss, the gradient norm."""

from tplearn.checks.ch11_llama_block.block import TP_BLOCK
from tplearn.checks.ch11_llama_block.fused import FUSED_BLOCK
from tplearn.checks.ch11_llama_block.gradients import GRADIENT_NORM
from tplearn.checks.ch11_llama_block.loss import NEXT_WORD_LOSS
from tplearn.checks.ch11_llama_block.sequence import SP_BLOCK
from tplearn.checks.ch11_llama_block.states import BLOCK_STATES
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    BLOCK_STATES,
    TP_BLOCK,
    NEXT_WORD_LOSS,
    SP_BLOCK,
    GRADIENT_NORM,
    FUSED_BLOCK,
)
