"""What a wrong count of a model's weights shows: the sentences that 01.1 and 01.2 share."""

# (what is wrong, what it shows, where to look)
COUNTED = (
    (
        "tied twice",
        "You counted a tied embedding twice. With tie_word_embeddings the lm_head is the embedding itself: one table.",
        "shape.tie_word_embeddings.",
    ),
    (
        "one table",
        "You counted one table in every model. Only with tie_word_embeddings are embedding and lm_head the same one.",
        "a model whose tie_word_embeddings is False.",
    ),
    (
        "tied the other way",
        "You counted two tables where they are tied and one where they are not. Tied means that both are one table.",
        "the condition on shape.tie_word_embeddings.",
    ),
    ("no table", "The embedding and the lm_head are missing from your count.", "vocab_size · hidden_size."),
    (
        "query heads",
        "You counted KV heads as query heads. In grouped-query attention several query heads share one KV head.",
        "which head count enters the width of k and v.",
    ),
    (
        "tied and biases",
        "You counted every model as the chapter's `parameters` does: two tables and no biases. A tied lm_head is the "
        "embedding itself, and with qkv_bias the projections q, k and v have biases.",
        "shape.tie_word_embeddings and shape.qkv_bias.",
    ),
    (
        "four squares",
        "You counted attention as four matrices [hidden, hidden]. q and o have heads · head_dim on one side, k and v "
        "num_key_value_heads · head_dim.",
        "the width of the heads, which is not hidden_size here.",
    ),
    (
        "a number a head",
        "You counted one number of bias for each head. A bias has as many numbers as its projection has outputs: "
        "head_dim for each head.",
        "the biases.",
    ),
    (
        "biases everywhere",
        "With qkv_bias you gave a bias to every projection. Only q, k and v have one.",
        "the biases of o, gate, up and down.",
    ),
    (
        "norms with biases",
        "You gave each norm two vectors. An RMSNorm has a scale, hidden_size numbers, and no bias.",
        "the norms.",
    ),
    (
        "all in each layer",
        "You multiplied everything by the number of layers. The tables and the last norm stand outside them, once.",
        "the brackets around layers · (…).",
    ),
    (
        "head_dim",
        "You took head_dim to be hidden_size / num_attention_heads. That holds for Llama, not for every model.",
        "where head_dim comes from: read shape.head_dim.",
    ),
    ("k or v", "Your count has one of k and v. There are two, of equal size.", "the factor of kv."),
    ("no o", "The matrix o is missing from your count. Attention has four: q, k, v and o.", "attention."),
    (
        "o square",
        "You counted o as [hidden, hidden]. It maps from the width of the queries, heads · head_dim, back to hidden.",
        "the shape of o.",
    ),
    (
        "q and o square",
        "You counted q and o as [hidden, hidden]. Their other side is the width of the queries, heads · head_dim.",
        "the shapes of q and o.",
    ),
    (
        "no bias",
        "The biases are missing. With qkv_bias the projections q, k and v have one each, as wide as their outputs.",
        "shape.qkv_bias.",
    ),
    ("bias always", "You counted biases in every model. Only a model with qkv_bias has them.", "shape.qkv_bias."),
    ("bias of q", "Of the biases you counted only q's. With qkv_bias k and v have one each, too.", "shape.qkv_bias."),
    (
        "biases once",
        "You added the biases of q, k and v once for the whole model. Every layer has its own.",
        "the brackets around layers · (…).",
    ),
    (
        "biases once, with o's",
        "You added the biases once for the whole model, and gave o one. Every layer has its own, for q, k and v only.",
        "the brackets around layers · (…), and the biases.",
    ),
    ("bias of o", "You gave o a bias. With qkv_bias only q, k and v have one.", "the biases."),
    (
        "bias as wide as hidden",
        "You counted the biases of q, k and v as hidden_size numbers each. A bias has as many numbers as its "
        "projection has outputs: heads · head_dim for q, fewer for k and v.",
        "the biases.",
    ),
    (
        "bias as wide as q",
        "You gave k and v biases as wide as q's. A bias has as many numbers as its projection has outputs: KV heads · "
        "head_dim for k and v.",
        "the biases.",
    ),
    ("no gate", "Your MLP has two matrices. SwiGLU has three: gate, up and down.", "the MLP."),
    ("one matrix", "Your MLP has one matrix. SwiGLU has three: gate, up and down.", "the MLP."),
    ("no norms", "The norms are missing: hidden_size numbers each, two a layer, one at the end.", "the small tensors."),
    ("no final norm", "The norm after the last layer is missing: you are hidden_size numbers short.", "the end."),
    ("one norm a layer", "You counted one norm a layer. There are two: before attention and before the MLP.", "norms."),
    (
        "final norm in each layer",
        "You counted three norms a layer. Two belong to each layer; the third stands once, after the last layer.",
        "whether the final norm is multiplied by the number of layers.",
    ),
    ("one layer", "You counted one layer. The model has num_hidden_layers of them.", "shape.num_hidden_layers."),
)
