"""Mutants of exercise 07.4: first values drawn, cut or put together in another way."""

from functools import partial

from tplearn.checks.ch07_mlp_on_gloo import draws, mlp
from tplearn.checks.ch07_mlp_on_gloo.mlp import SwiGLU
from tplearn.checks.exercise import Mutant

WEIGHTS = (
    Mutant(
        "fused weight cut as one block",
        partial(SwiGLU, weights=mlp.one_block),
        "You put gate and up together and then cut, as one block. The first ranks have nothing but gate, the last "
        "ones nothing but up, and each multiplies rows that do not belong together.",
        "the order: each of the two is cut, then the two shards are put one above the other.",
    ),
    Mutant(
        "up above gate",
        partial(SwiGLU, weights=mlp.up_first),
        "The upper half of your fused weight is the second draw, and the lower half the first: either up's rows stand "
        "above gate's, or up was drawn before gate. Here gate comes first in both, as in vLLM's gate_up_proj.",
        "the order of the two draws, and of the two in torch.cat.",
    ),
    Mutant(
        "rows of gate and up in turn",
        partial(SwiGLU, weights=mlp.interleaved),
        "Your fused weight has a row of gate, a row of up, and so on. Here all rows of gate come first.",
        "torch.cat([gate, up]).",
    ),
    Mutant(
        "drawn without biases",
        partial(SwiGLU, weights=mlp.no_biases),
        "gate is right, up and down are not: they are what comes when the layers are drawn with bias=False. The dense "
        "layers draw their biases too, and every draw moves the random state on.",
        "nn.Linear(hidden, ffn), with its bias: keep the weight, drop the bias, but draw both.",
    ),
    Mutant(
        "one draw for gate and up",
        partial(SwiGLU, weights=mlp.one_draw),
        "gate is right, up is not: it is the lower half of one nn.Linear(hidden, 2 · ffn). Two layers are due, and "
        "gate's bias is drawn before up.",
        "the three calls of nn.Linear.",
    ),
    Mutant(
        "down drawn second",
        partial(SwiGLU, weights=mlp.down_second),
        "You drew gate, down, up: w1, w2, w3, in the order of the original Llama's names. Here the order is gate, up, "
        "down.",
        "the order of the draws.",
    ),
    Mutant(
        "down drawn first",
        partial(SwiGLU, weights=mlp.down_drawn_first),
        "You drew down before gate and up. Every draw moves the random state on: here the order is gate, up, down.",
        "the order of the draws.",
    ),
    Mutant(
        "down drawn as a third column layer",
        partial(SwiGLU, weights=mlp.down_transposed),
        "gate and up are right. down was drawn as nn.Linear(hidden, ffn) and turned over. nn.Linear's bound comes from "
        "the number of inputs, and down has ffn of them: draw nn.Linear(ffn, hidden).",
        "the sizes of the third nn.Linear.",
    ),
    Mutant(
        "down drawn at the shard's size",
        partial(SwiGLU, weights=mlp.down_small),
        "gate and up are right. down was drawn with the shard's ffn/p inputs: the same numbers on every rank, and "
        "about √p times too large. Draw nn.Linear(ffn, hidden), and keep this rank's columns.",
        "the sizes of the third nn.Linear.",
    ),
    Mutant(
        "gate for up",
        partial(SwiGLU, weights=mlp.same_draw),
        "up has gate's numbers. It is a layer of its own, drawn after gate.",
        "the second call of init_shard.",
    ),
    Mutant(
        "same-seed shards",
        partial(SwiGLU, weights=partial(mlp.fused, draw=draws.same_seed)),
        "Every rank drew its shards from the state that all ranks share, so all hold the same rows of gate and up. "
        "They compute the same partial and get the same gradient, for ever: the MLP is ffn/p wide.",
        "the first values: each rank's slices of three dense layers, drawn one after the other.",
    ),
)
