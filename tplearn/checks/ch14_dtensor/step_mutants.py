"""What the wrong answers to exercise 14.5 show: norms that see too much, gathers too many, a loss on its own."""

from tplearn.checks.ch14_dtensor.step_wrong import wrong_step
from tplearn.checks.exercise import mutants_of

OF_THE_PLAN = mutants_of(
    wrong_step,
    (
        "no sequence parallelism",
        "Every number is right, and the bytes are the same. But between the cuts every rank has all tokens: that is "
        "tensor parallelism alone. With sequence parallelism a norm sees own tokens only.",
        "what tok_embeddings, wo and w2 give: Shard(1); and the norms: SequenceParallel.",
    ),
    (
        "norms on all tokens",
        "The loss is right, and the gradients of the norms are tp times too large. SequenceParallel takes a plain "
        "tensor for a shard of the sequence. What comes here is all of it, on every rank, and the same gradient is "
        "added up once for each.",
        "output_layouts of what comes before a norm: tok_embeddings, wo, w2.",
    ),
    (
        "rows give all tokens",
        "wo and w2 give all tokens, and the residual that they join has own tokens.",
        "output_layouts of attention.wo and feed_forward.w2.",
    ),
    (
        "each column gathers",
        "Right, and too loud: wq, wk, wv, w1 and w3 gather the same tokens, each for itself. Gather once, where "
        "attention and the MLP begin.",
        "PrepareModuleInput for attention and feed_forward.",
    ),
    (
        "nobody gathers",
        "Right, and far too loud: nobody says where the tokens are gathered, so DTensor decides it, operator by "
        "operator. Each column gets own tokens and its own words of the weight, and gathers what it needs, forward and "
        "backward.",
        "PrepareModuleInput for attention and feed_forward: Shard(1) → Replicate().",
    ),
    (
        "attention alone gathers",
        "Right, and too loud: attention gathers its tokens once, but nobody says where the MLP's are gathered. w1 and "
        "w3 get own tokens, and DTensor gathers what it needs, operator by operator.",
        "PrepareModuleInput for feed_forward.",
    ),
    (
        "MLP alone gathers",
        "Right, and too loud: the MLP gathers its tokens once, but nobody says where attention's are gathered. wq, wk "
        "and wv get own tokens, and DTensor gathers what it needs, operator by operator.",
        "PrepareModuleInput for attention.",
    ),
    (
        "shards taken for whole",
        "Your plan says that attention and the MLP get whole sequences, R. A norm gives own tokens, and nobody gathers "
        "them.",
        "input_layouts of attention and feed_forward.",
    ),
    (
        "norms between left out",
        "The loss is right. But attention_norm and ffn_norm have seen own tokens only, and so their gradients are "
        "partials, another one on every rank. A plain tensor cannot say so.",
        "SequenceParallel for attention_norm and ffn_norm.",
    ),
    (
        "last norm left out",
        "The loss is right. But the last norm has seen own tokens only, and so its gradient is a partial, another one "
        "on every rank. A plain tensor cannot say so.",
        "SequenceParallel for norm.",
    ),
    (
        "norms of heads left out",
        "The loss is right. But q_norm and k_norm have seen own heads only, and so their gradients are partials, "
        "another one on every rank. A plain tensor cannot say so. That is so without sequence parallelism, too.",
        "attention.q_norm and k_norm: as in exercise 14.2.",
    ),
    (
        "norms of heads give DTensors",
        "Your q_norm and k_norm give DTensors, and RoPE wants plain tensors, as its tables are.",
        "use_local_output=True.",
    ),
    (
        "one input of three",
        "attention is called with three arguments, attention(x, cos, sin), and your layouts speak of one. A tuple must "
        "have a place for each, None for what is to stay as it is.",
        "input_layouts=(Shard(1), None, None), and desired_input_layouts alike.",
    ),
    (
        "embedding gives all tokens",
        "The embedding gives all tokens to every rank. The first norm takes them for a shard, and behind the gather "
        "there are tp times too many.",
        "output_layouts of tok_embeddings.",
    ),
    (
        "head takes R",
        "Right, but the head does not say that it gets own tokens. DTensor finds it out and gathers where it needs "
        "to: once for the logits, and again on the way back.",
        "input_layouts of output.",
    ),
    (
        "head takes R, norm plain",
        "The head takes own tokens for all of them, and there are fewer logits than targets.",
        "input_layouts of output.",
    ),
    (
        "logits gathered",
        "Right, but you gathered the logits, words and all. With 100,000 words nothing in the model is larger. "
        "loss_parallel needs three numbers a token: a maximum and two sums.",
        "output: a DTensor that stays cut by words (use_local_output=False).",
    ),
    (
        "local logits",
        "Your logits are this rank's own words, as a plain tensor: the loss looks for a target among them, and most "
        "targets are another rank's.",
        "use_local_output=False for output, so that loss_parallel knows how they are cut.",
    ),
    (
        "nothing cut",
        "Every number is right, for nothing was cut: there is no plan.",
        "parallelize_module.",
    ),
    (
        "weights sent",
        "Right, but before the step every weight was sent from rank 0 to the others, a scatter each. Every rank has "
        "the same numbers already.",
        "src_data_rank=None.",
    ),
)

OF_THE_STEP = mutants_of(
    wrong_step,
    (
        "positions of own tokens",
        "RoPE's tables are for own tokens, seq/p, and attention turns all tokens, gathered. Where you give no "
        "positions, the model counts the vectors that the embedding gives, which are own tokens, and would begin at 0 "
        "on every rank.",
        "the second argument of model: torch.arange(seq).",
    ),
    (
        "positions [1, seq]",
        "Your positions have a batch dimension, as Hugging Face's position_ids have. This model takes [seq].",
        "the second argument of model: torch.arange(seq).",
    ),
    (
        "own targets",
        "You cut the targets into own tokens. The logits are not: the head gathers all tokens, and cuts words. The "
        "loss wants all targets.",
        "the second argument of cross_entropy.",
    ),
    (
        "no loss_parallel",
        "cross_entropy got a DTensor that is cut by words, and plain targets. Without loss_parallel PyTorch refuses to "
        "mix the two.",
        "with loss_parallel(): around loss and backward.",
    ),
    (
        "backward after the with",
        "The loss is a parallel one, and its backward pass runs after loss_parallel has ended: PyTorch refuses to mix "
        "plain targets and DTensors there.",
        "loss.backward(): inside of the with block.",
    ),
    (
        "no backward",
        "The loss is right, and no parameter has a gradient: there was no backward pass.",
        "loss.backward(), inside of the with block.",
    ),
    (
        "sum for mean",
        "Your loss is the sum over all targets. The mean is due, which cross_entropy takes where you say nothing.",
        "the reduction.",
    ),
    (
        "a share of the loss",
        "The loss that you back-propagate is divided by tp. All ranks have one and the same loss, of one batch: "
        "nothing is to be averaged.",
        "the division.",
    ),
    (
        "loss not returned",
        "The gradients are right, and nothing is returned: the loss is due.",
        "the last line.",
    ),
    (
        "loss summed over the ranks",
        "You summed the loss over the ranks. Under loss_parallel it is finished, the same on every rank: it now counts "
        "tp times.",
        "what comes after backward: nothing.",
    ),
    (
        "norms finished one by one",
        "Right, but you finished the norms' gradients, one message each. Here they may stay partials. To finish all "
        "with one message is exercise 14.6.",
        "what comes after backward: nothing.",
    ),
)

MUTANTS = OF_THE_PLAN + OF_THE_STEP
