"""What the wrong answers to exercise 11.1 show: for each tensor, what students take it for."""

from tplearn.checks.ch11_llama_block.states_wrong import wrong_states
from tplearn.checks.exercise import mutants_of

TOKENS = "with sequence_parallel = True."
CUT = "[out, in]: gate is cut by outputs, dim 0, and down by inputs, dim 1."

MUTANTS = mutants_of(
    wrong_states,
    (
        "all in the stream whole",
        "With sequence parallelism you kept x, the norm's output, what the collective gives and y whole. All four are "
        "own tokens: that is where the memory is saved.",
        '"x", "normed", "reduced" and "y", ' + TOKENS,
    ),
    (
        "own tokens without sequence parallelism",
        "You cut the tokens also without sequence parallelism. There x, the norm's output, what the all-reduce gives "
        "and y are the same on every rank.",
        '"x", "normed", "reduced" and "y", with sequence_parallel = False.',
    ),
    (
        "residual whole",
        "With sequence parallelism you kept x and y whole. Own tokens run along the residual as well, and a sum of "
        "S(1) and S(1) needs nobody.",
        '"x" and "y", ' + TOKENS,
    ),
    (
        "hidden cut",
        "You cut the stream along the hidden dimension. A norm divides by the mean over all hidden numbers of a "
        "token, so that dimension stays whole: what is cut, with sequence parallelism, is the sequence, dim 1.",
        '"x" and what follows it: R without sequence parallelism, S(1) with it.',
    ),
    (
        "normed whole",
        "A norm treats each token by itself: of own tokens it gives own tokens. The all-gather comes after it.",
        '"normed", ' + TOKENS,
    ),
    (
        "normed partial",
        "A norm needs finished numbers and gives finished numbers. What it gives is in the state of what it gets.",
        '"normed".',
    ),
    (
        "tokens not gathered",
        "Gate and up would read own tokens only. Their rows are on this rank and nowhere else, so every token must "
        "come to them: an all-gather stands before.",
        '"read", ' + TOKENS,
    ),
    (
        "read partial",
        "What gate and up read is finished, the same on every rank: R. A partial comes out of a row cut, not into a "
        "column cut.",
        '"read".',
    ),
    (
        "inner replicated",
        "Between gate and down every rank has its own columns of the inner width, and no others: S(2). That is what "
        "the column cut is for.",
        '"inner".',
    ),
    (
        "inner partial",
        "A column cut gives finished numbers, of own columns: S(2). A sum over the ranks would mix different columns.",
        '"inner".',
    ),
    (
        "inner of own tokens",
        "Between gate and down every rank has all tokens, and its own columns: S(2). The tokens were gathered before, "
        "also with sequence parallelism.",
        '"inner".',
    ),
    (
        "inner S(1)",
        "The shape is right, the letter is not: of [batch, seq, ffn] the last dimension is cut, which is dim 2.",
        '"inner".',
    ),
    (
        "inner not divided",
        "The state is right, the shape is not: of ffn columns a rank has ffn/tp.",
        '"inner": the shape on one rank.',
    ),
    (
        "partial replicated",
        "What a row cut gives has the full shape on every rank, but only the rank's own inputs are in it: every rank "
        "has another tensor, and their sum is due. That is a partial, P, not R.",
        '"partial".',
    ),
    (
        "partial of own tokens",
        "With sequence parallelism a row cut still gives a partial of all tokens. Own tokens come out of the "
        "reduce-scatter, not before.",
        '"partial", ' + TOKENS,
    ),
    (
        "partial scattered",
        "With sequence parallelism you gave the row cut's result the state that the reduce-scatter makes of it. "
        "Before that it is a partial of all tokens.",
        '"partial", ' + TOKENS,
    ),
    (
        "partial sharded",
        "A row cut cuts the inputs. Its outputs are there in full on every rank, as partials: nothing of the hidden "
        "dimension is cut.",
        '"partial".',
    ),
    (
        "reduced partial",
        "Behind the collective nothing is partial any more: it has added the partials up.",
        '"reduced": R without sequence parallelism, S(1) with it.',
    ),
    (
        "reduced whole",
        "With sequence parallelism the collective is a reduce-scatter: each rank gets the sum for its own tokens.",
        '"reduced", ' + TOKENS,
    ),
    (
        "y partial",
        "y is x plus what the collective gives, and both are finished. R + P may not be added.",
        '"y".',
    ),
    ("y whole", "S(1) and S(1) make S(1): own tokens go on to the next block.", '"y", ' + TOKENS),
    (
        "norm sharded",
        "You sharded the norm's weight. A norm divides by the mean over all hidden numbers, so it is not cut, and "
        "every rank has its whole weight. What sequence parallelism cuts is the tokens that it sees.",
        '"norm weight".',
    ),
    (
        "norm sharded by tokens",
        "With sequence parallelism you sharded the norm's weight. It is one number for each hidden number, and every "
        "token needs all of them: R.",
        '"norm weight", ' + TOKENS,
    ),
    ("gate replicated", "Gate is cut: each rank has its own rows, ffn/tp of them.", '"gate weight".'),
    (
        "gate as in x A",
        "You wrote gate as [in, out]. nn.Linear keeps [out, in], and cutting the outputs cuts dim 0.",
        CUT,
    ),
    (
        "down replicated",
        "Down is cut: each rank has the columns that belong to its own inner numbers.",
        '"down weight".',
    ),
    (
        "down as in x A",
        "You wrote down as [in, out]. nn.Linear keeps [out, in], and cutting the inputs cuts dim 1.",
        CUT,
    ),
    (
        "no partials backward",
        "Forward all is right. Backward you have no partials. Each rank read the same tensor for its own columns, so "
        "each has a partial of that gradient; and with sequence parallelism each copy of the norm's weight has met "
        "other tokens.",
        'the two gradients: "gradient of read" always, "gradient of norm weight" with sequence parallelism.',
    ),
    (
        "gradient of read finished",
        "Each rank read the same tensor for its own columns of gate and up, so what comes back is a partial: the sum "
        "over the ranks is due, and f, or the gather's backward, takes it.",
        '"gradient of read", before any collective.',
    ),
    (
        "gradient of read scattered",
        "With sequence parallelism you gave the gradient the state after the reduce-scatter. As the matmuls give it "
        "back it is a partial, of all tokens.",
        '"gradient of read", before any collective.',
    ),
    (
        "gradient of read of own tokens",
        "The matmuls read all tokens, and give back a gradient for all of them. Own tokens come out of the "
        "reduce-scatter.",
        '"gradient of read", before any collective.',
    ),
    (
        "norm gradient finished",
        "With sequence parallelism each copy of the norm's weight has met its own tokens only. Its gradient is a "
        "partial until sync_gradients has run.",
        '"gradient of norm weight", ' + TOKENS,
    ),
    (
        "norm gradient always partial",
        "Without sequence parallelism every rank's norm has seen all tokens, and f has summed what comes back to it: "
        "its gradient is finished, the same on every rank.",
        '"gradient of norm weight", with sequence_parallel = False.',
    ),
    (
        "norm gradient the other way",
        "You exchanged the two cases. With sequence parallelism a norm sees own tokens, and its weight's gradient is "
        "a partial; without, it sees all tokens.",
        '"gradient of norm weight".',
    ),
)
