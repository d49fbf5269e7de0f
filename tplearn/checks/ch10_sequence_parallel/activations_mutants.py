"""What the wrong answers to exercise 10.5 show: what is cut, what is kept, what a mask weighs."""

from tplearn.checks.ch10_sequence_parallel.activations_wrong import wrong_count
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_count,
    (
        "tp cuts all",
        "You divided everything by tp, with sequence parallelism or without. Tensor parallelism alone cuts what lies "
        "between a column and a row cut; norms, dropouts and the inputs of QKV and MLP stay whole.",
        "sequence_parallel = False: two groups of tensors, and only one is divided.",
    ),
    (
        "sequence parallel ignored",
        "Your answer is that of tensor parallelism, also where sequence_parallel is True. There norms and dropouts "
        "see own tokens only, and what they keep is divided by tp.",
        "sequence_parallel = True.",
    ),
    (
        "gathered inputs kept",
        "You let every rank keep the gathered inputs of QKV and MLP also where they are gathered again in the "
        "backward pass: then it keeps own tokens of them.",
        "gather_again = True: the inputs of QKV and MLP count as shards.",
    ),
    (
        "gathered inputs cut",
        "You divided the inputs of QKV and MLP by tp although they stay in memory as they were gathered: a matmul "
        "keeps its input, and that is all tokens. Only with gather_again is it own tokens.",
        "sequence_parallel = True, gather_again = False: two tensors of all tokens.",
    ),
    (
        "gathered inputs once more",
        "You counted the inputs of QKV and MLP twice where they are gathered: own tokens, and all tokens. The norm's "
        "output is not kept beside the gathered tensor.",
        "sequence_parallel = True, gather_again = False: two tensors of all tokens, no shards of them.",
    ),
    (
        "gathered again without a sequence cut",
        "Without sequence parallelism nothing is gathered: the inputs of QKV and MLP are whole on every rank, and "
        "gather_again has nothing to do.",
        "sequence_parallel = False.",
    ),
    (
        "34 over t",
        "That is 34/t times sbh, whatever the values are and whatever is kept. 34 is right for values of 2 bytes and "
        "inputs that are gathered again.",
        "bytes_per_value, and gather_again.",
    ),
    (
        "4 + 30 over t",
        "With sequence parallelism your answer is 4 + 30/t times sbh, whatever the values are and whatever is kept. "
        "That is right for values of 2 bytes and gathered inputs that stay in memory.",
        "bytes_per_value, and gather_again.",
    ),
    (
        "numbers of the paper",
        "Your answer is 10 + 24/t, or 34/t, times sbh. These are the numbers for values of 2 bytes, and 34/t is right "
        "where the inputs of QKV and MLP are gathered again.",
        "bytes_per_value, and gather_again.",
    ),
    (
        "gathered the other way",
        "You exchanged the two ways to treat gathered inputs. With gather_again a rank keeps own tokens of them; "
        "without, all tokens.",
        "sequence_parallel = True: the inputs of QKV and MLP.",
    ),
    (
        "16 bits always",
        "You counted 2 bytes a value. bytes_per_value says how many there are.",
        "bytes_per_value; only the masks do not depend on it.",
    ),
    (
        "masks as values",
        "You gave each number of a dropout mask the size of a value. A mask says kept or dropped: one byte, whatever "
        "the values are.",
        "the two dropout masks: 1 · sbh each.",
    ),
    (
        "divided too early",
        "You divided with // before you multiplied by sequence · batch · hidden: what did not come out even there is "
        "lost. The whole product divides.",
        "the order: multiply first, then divide.",
    ),
    (
        "tokens divided first",
        "Without sequence parallelism you divided sequence // tp, and lost what did not come out even. There heads and "
        "columns are cut, not tokens: multiply first, then divide.",
        "sequence_parallel = False, and a sequence that does not divide by tp.",
    ),
    (
        "masks of half a value",
        "You gave each number of a dropout mask half the size of a value. That is one byte for values of two, and one "
        "byte it stays for any other: a mask says kept or dropped.",
        "the two dropout masks: 1 · sbh each.",
    ),
    (
        "masks not cut",
        "The dropout masks are cut like what they mask: by tokens, with sequence parallelism.",
        "the masks, with sequence_parallel = True.",
    ),
    ("masks forgotten", "The two dropout masks are missing: one byte a number each.", "two masks of sbh bytes."),
    (
        "one mask",
        "A layer has two dropouts, after attention and after the MLP, and each keeps its mask.",
        "two masks.",
    ),
    ("masks of a bit", "You gave a mask one bit a number. PyTorch's bool takes a byte.", "two masks of sbh bytes."),
    (
        "norm inputs forgotten",
        "The inputs of the two norms are missing. A norm's backward pass needs its input, and no other part of the "
        "layer keeps that tensor.",
        "two tensors of sbh values.",
    ),
    (
        "inputs of the products forgotten",
        "The inputs of QKV and of the MLP are missing. A matmul keeps its input for the weight's gradient.",
        "two tensors of sbh values: the norms' outputs.",
    ),
    (
        "GeLU counted once",
        "GeLU keeps its input, and the second product keeps GeLU's output: two tensors of 4 · hidden.",
        "4 + 4 values, cut by tp.",
    ),
    (
        "GeLU as wide as x",
        "You took GeLU's input and output to be as wide as x. They are four times as wide.",
        "4 + 4 values, cut by tp.",
    ),
    (
        "Q, K and V counted once",
        "Q, K and V are three tensors of sbh values, and attention keeps all three.",
        "3 + 1 values, cut by tp.",
    ),
    (
        "projection forgotten",
        "The input of attention's output projection is missing: a matmul keeps its input.",
        "3 + 1 values, cut by tp.",
    ),
    (
        "the sequence cut twice",
        "With sequence parallelism you divided what lies inside the cuts by tp twice: by tokens, and by columns or "
        "heads. Inside, every rank has all tokens of its own columns.",
        "Q, K, V, the projection's input and GeLU's two tensors: divided by tp once.",
    ),
    (
        "nothing cut inside",
        "What lies between a column and a row cut is divided by tp: each rank has its own heads, and its own columns "
        "of the MLP.",
        "the 12 values inside.",
    ),
    (
        "nothing refused",
        "With sequence parallelism a sequence that does not divide by tp has no equal shards. You returned a number "
        "for it.",
        "sequence % tp with sequence_parallel: raise a ValueError.",
    ),
    (
        "refused without need",
        "You refuse a sequence that does not divide by tp also without sequence parallelism, where nobody cuts it.",
        "the condition of your ValueError: only with sequence_parallel.",
    ),
)
