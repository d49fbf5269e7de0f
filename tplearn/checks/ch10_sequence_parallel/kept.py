"""What a GPT layer keeps for its backward pass, counted in tensors of [sequence, batch, hidden]."""

NORMS, INPUTS = 2, 2  # values of [s, b, h] that lie between the cuts: two norms' inputs, the inputs of QKV and MLP
INSIDE = 12  # Q, K, V, the projection's input; GeLU's input and output, four times as wide
MASKS = 2  # dropout masks: one byte each, whatever the values are
