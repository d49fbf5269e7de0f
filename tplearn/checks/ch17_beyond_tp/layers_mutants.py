"""What the wrong answers to exercise 17.4 show: remainders that get lost, shares of another whole, and lm_head."""

from tplearn.checks.ch17_beyond_tp.layers_wrong import wrong_split_layers
from tplearn.checks.exercise import mutants_of

EDGES = "where a GPU's share ends: the sum of the proportions up to it, over the sum of all."
RULE = "the rule: layer k goes to the first GPU whose share ends above k / n."
HEAD = "n, the number of slots: num_layers, and one more with lm_head."

MUTANTS = mutants_of(
    wrong_split_layers,
    (
        "remainder lost",
        "You rounded every GPU's share down: your numbers do not add up to num_layers. The layers that are left belong "
        "to nobody.",
        RULE,
    ),
    (
        "remainder to the last",
        "You rounded every share down, and gave what was left to the last GPU. Here shares are not rounded: a layer is "
        "dealt by where it begins.",
        RULE,
    ),
    (
        "remainder to the first",
        "You rounded every share down, and gave what was left to the first GPU. Here shares are not rounded: a layer "
        "is dealt by where it begins.",
        RULE,
    ),
    (
        "remainder in turn",
        "You rounded every share down, and gave the first GPUs one layer more each. Here shares are not rounded: a "
        "layer is dealt by where it begins.",
        RULE,
    ),
    (
        "largest remainders",
        "You rounded every share down, and gave what was left to those with the largest fractions. That is fair, but "
        "llama.cpp deals a layer by where it begins.",
        RULE,
    ),
    (
        "each rounded",
        "You rounded every share to the nearest number. Together they may be more layers than there are, or fewer.",
        RULE,
    ),
    (
        "each rounded up",
        "You rounded every share up. Together they are more layers than there are.",
        RULE,
    ),
    (
        "ends rounded",
        "You rounded the ends of the shares to the nearest layer. A layer belongs to the GPU in whose share it begins, "
        "so an end is rounded up.",
        RULE,
    ),
    (
        "ends rounded down",
        "You rounded the ends of the shares down. A layer belongs to the GPU in whose share it begins: the one that an "
        "end cuts through belongs to the GPU before that end.",
        RULE,
    ),
    (
        "on the edge to the GPU before",
        "A layer that begins just where a share ends went to that share's GPU. It belongs to the next one: its share "
        "must end *above* k / n.",
        "< or <=, bisect_left or bisect_right.",
    ),
    (
        "proportions taken for fractions",
        "You took the proportions as they are, as if they added up to 1. 3 and 1 are three quarters and one quarter.",
        EDGES,
    ),
    (
        "proportions times layers",
        "You multiplied the layers by the proportions as they are. 3 and 1 are three quarters and one quarter; and a "
        "rounded share of each GPU would leave layers to nobody.",
        RULE,
    ),
    (
        "shares not added up",
        "You compared k / n with each GPU's own share, and not with where it ends.",
        EDGES,
    ),
    ("evenly", "You dealt the layers out evenly. The proportions say how much each GPU takes.", "proportions."),
    (
        "evenly over those with a share",
        "You dealt the layers out evenly over the GPUs that are to get any. The proportions say how many.",
        "proportions.",
    ),
    (
        "at least one each",
        "You gave every GPU a layer. One with a share of 0, or a small one, may get none.",
        "a GPU with 0, and fewer layers than GPUs.",
    ),
    (
        "GPUs without a share left out",
        "Your list is shorter than `proportions`: a GPU that gets nothing has a 0 in it.",
        "the length of the result.",
    ),
    (
        "from the last GPU on",
        "You dealt from the last GPU to the first. The first layers go to the first GPU.",
        "the order.",
    ),
    (
        "lm_head forgotten",
        "You dealt num_layers slots also where lm_head is dealt out with them. Then there is one slot more, and "
        "shares end elsewhere.",
        HEAD,
    ),
    (
        "lm_head counted",
        "You counted lm_head as a layer of its GPU. It takes the last slot, and your numbers are of layers.",
        "the loop over layers: num_layers of them.",
    ),
    (
        "lm_head first",
        "You gave lm_head the first slot. It comes after the layers: the last slot is its.",
        HEAD,
    ),
    (
        "lm_head on the last GPU",
        "You dealt num_layers slots, and took a layer off the GPU of the last one for lm_head.",
        HEAD,
    ),
    (
        "lm_head taken off the last GPU",
        "You dealt lm_head out as a slot, and took it off the last GPU. The last slot may be another GPU's: "
        "the last one may have a small share, or none.",
        "the loop over layers: num_layers of them, and no slot to take off.",
    ),
    (
        "lm_head always",
        "You dealt one slot more also where lm_head stays out of it.",
        HEAD,
    ),
    ("ends of the shares", "You gave the layer at which each GPU's share ends, not how many it has.", "the result."),
    ("which GPU", "You gave the GPU of each layer. Due is the number of layers on each GPU.", "the result."),
)
