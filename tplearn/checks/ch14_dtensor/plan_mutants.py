"""What the wrong answers to exercise 14.2 show: rows for columns, norms that see shards, cuts that are left whole."""

from tplearn.checks.ch14_dtensor.plan_wrong import wrong_plan
from tplearn.checks.exercise import mutants_of

WHOLE = "Every number is right, for nothing was cut there: "
MUTANTS = mutants_of(
    wrong_plan,
    (
        "w2 and w3 swapped",
        "You cut w3 by rows, its inputs, as if it were the last of the three. Under these names w1 and w3 read the "
        "stream side by side (gate and up), and w2 comes after them (down): w2(silu(w1(x)) · w3(x)).",
        "FeedForward.forward: which of the three reads what the others have made.",
    ),
    (
        "w2 a column",
        "You cut w2 by columns. It reads inner numbers, of which each rank has its own: its weight is cut by inputs, "
        "Rowwise, and the partials are summed.",
        "the style of feed_forward.w2.",
    ),
    (
        "all of the MLP columns, whole results",
        "Your MLP gathers after each matrix. The results are right, but a column and then a row need no gather "
        "between them: silu works on each number by itself.",
        "feed_forward.w1 and w3: their outputs stay cut. w2 is Rowwise.",
    ),
    (
        "wo a column",
        "You cut wo by columns. It reads the heads, of which each rank has its own: its weight is cut by inputs, "
        "Rowwise, and the partials are summed.",
        "the style of attention.wo.",
    ),
    (
        "wq a row",
        "You cut wq by rows, its inputs. But x is whole on every rank, and taken for a shard it is too long. Heads are "
        "outputs of wq, wk and wv: columns first. The row is wo, which reads the heads.",
        "the styles of wq, wk and wv, and that of wo.",
    ),
    (
        "w1 a row",
        "You cut w1 by rows, its inputs. But x is whole on every rank, and taken for a shard it is too long. w1 and w3 "
        "come first: columns. The row is w2, which reads what they have made.",
        "the styles of w1, w2 and w3.",
    ),
    (
        "rows give own tokens",
        "wo or w2 gives own tokens, S(1). That belongs to sequence parallelism; here the residual that it joins has "
        "all tokens.",
        "output_layouts of attention.wo and feed_forward.w2: R, as it is where you say nothing.",
    ),
    (
        "norms as columns",
        "A norm has no columns: PyTorch cuts linear layers and embeddings in this way, and nothing else. The weight of "
        "q_norm stays whole; what is cut is what comes in.",
        "the style for q_norm and k_norm.",
    ),
    (
        "only queries cut",
        "Your ranks have their own queries, and all keys and values. A rank's queries belong to the keys of their own "
        "group: cut wk and wv in the same way.",
        "wk and wv: Colwise, like wq.",
    ),
    (
        "wo left out",
        "wo is in no line of your plan. It is whole, and gets the numbers of this rank's heads only.",
        "attention.wo: Rowwise.",
    ),
    (
        "w3 left out",
        "w3 is in no line of your plan. It gives all inner numbers, and w1 only this rank's: they do not fit together.",
        "feed_forward.w3: Colwise, like w1.",
    ),
    (
        "attention left out",
        WHOLE + "attention is whole on every rank, in memory and in work.",
        "the keys of wq, wk, wv and wo.",
    ),
    (
        "MLP left out",
        WHOLE + "the MLP, most of a model's weights, is whole on every rank, in memory and in work.",
        "the keys of w1, w2 and w3.",
    ),
    (
        "norms of heads left out",
        "The result is right. But q_norm and k_norm have one weight for all heads, and this rank has used its copy "
        "for its own heads only: the gradient is a partial, another one on every rank. A plain tensor cannot say so, "
        "and nobody adds the partials up.",
        "attention.q_norm and k_norm: their input is cut along dim 2, the heads. Which style takes an input that is "
        "cut along a dim, and replicates the weight?",
    ),
    (
        "norms of heads give DTensors",
        "Your q_norm and k_norm give DTensors, and RoPE multiplies them with tables that are plain tensors: PyTorch "
        "refuses to mix them.",
        "use_local_output=True: what comes after is plain.",
    ),
    (
        "norms between on shards",
        "The result is right, and the gradients of the norms between the halves are tp times too large. "
        "SequenceParallel takes a plain tensor for a shard of the sequence, and here each rank has all of it: the same "
        "gradient is then added up once for each rank.",
        "attention_norm, ffn_norm and norm: without sequence parallelism they stand in no plan.",
    ),
    (
        "embedding gives its shard",
        "Cut by hidden numbers the embedding gives each rank a slice of every vector, [batch, seq, hidden/p], and the "
        "first norm wants all of it.",
        "output_layouts of tok_embeddings.",
    ),
    (
        "embedding by words",
        "Right, but not the cheaper cut. Cut by words every vector is a sum over the ranks, an all-reduce. Cut by "
        "hidden numbers its slices are put side by side, an all-gather: half as many bytes.",
        "tok_embeddings: Colwise.",
    ),
    (
        "embedding takes shards",
        "RowwiseParallel takes its input for a shard unless told otherwise, and so the ids were cut, along dim −1. "
        "Every rank has all ids.",
        "tok_embeddings. Here it is Colwise; a Rowwise embedding would need input_layouts=Replicate().",
    ),
    (
        "embedding left out",
        WHOLE + "the embedding is whole on every rank.",
        "tok_embeddings.",
    ),
    (
        "logits stay cut",
        "Each rank returns the logits of its own words. Whole logits are due.",
        "output_layouts of output.",
    ),
    (
        "logits a DTensor",
        "The logits are a DTensor. Here a plain tensor is due: use_local_output=False is for loss_parallel, and for "
        "what else knows DTensors.",
        "use_local_output of output: True, as it is where you say nothing.",
    ),
    (
        "logits a cut DTensor",
        "The logits are a DTensor that is cut by words, as loss_parallel wants them. Here whole logits are due, in a "
        "plain tensor.",
        "output_layouts and use_local_output of output.",
    ),
    (
        "head by rows",
        "You cut the head by inputs: each rank's logits are partials of all words, and an all-reduce adds them up. Cut "
        "by words, they are put side by side, an all-gather: half as many bytes.",
        "output: Colwise.",
    ),
    (
        "head left out",
        WHOLE + "the head is whole on every rank.",
        "output.",
    ),
    (
        "first layer only",
        WHOLE + "only layer 0 is in your plan.",
        "the keys: layers.* is every layer.",
    ),
    (
        "keys without their place",
        WHOLE + "a key is a module's whole name, from the model down, and attention.wq has none at the top. PyTorch "
        "only warns of such a key, and leaves its module whole.",
        "the keys: layers.*.attention.wq.",
    ),
    (
        "Hugging Face's names",
        WHOLE + "the keys are Hugging Face's names, and no module here has them. PyTorch only warns of such a key.",
        "the names that print(model) shows.",
    ),
)
