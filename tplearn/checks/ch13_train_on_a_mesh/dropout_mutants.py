"""What the wrong answers to exercise 13.5 show: masks that repeat or drift, sizes taken for granted, wrong places."""

from tplearn.checks.ch13_train_on_a_mesh.dropout_wrong import wrong_mesh_dropout
from tplearn.checks.exercise import mutants_of

DRAW = "the draw: torch.rand of the whole shape, on every rank, from the state that all of them have."
PLACE = "the slice of the mask: mesh[name].get_local_rank() of mesh[name].size(), along that name's dim."
SIZES = "the whole shape: an all_reduce of this rank's size along a dim, over the mesh dimension that cuts it."

MUTANTS = mutants_of(
    wrong_mesh_dropout,
    (
        "own shape",
        "Every rank drew a mask of its own shape from the state that all ranks have. So they all drop the same places "
        "of their shards: the mask repeats, where the dense model's does not.",
        DRAW,
    ),
    (
        "seed of the rank",
        "Each rank draws with its rank as the seed. Where x is the same over tp its copies lose different numbers, and "
        "drift apart; and where it is cut, the mask is not the dense model's.",
        DRAW,
    ),
    (
        "seed of the row",
        "Each row draws with its number as the seed, every rank a mask of its own shape. Copies over tp stay copies, "
        "but the mask is not the dense model's, and where x is cut over tp too it repeats.",
        DRAW,
    ),
    (
        "seed plus rank",
        "Each rank added its rank to the seed. Where x is the same over tp its copies lose different numbers, and "
        "drift apart; and where it is cut, the mask is not the dense model's.",
        DRAW,
    ),
    (
        "seed plus row",
        "Each row added its number to the seed, and every rank drew a mask of its own shape. Copies over tp stay "
        "copies, but the mask is not the dense model's, and where x is cut over tp too it repeats.",
        DRAW,
    ),
    (
        "seed plus column",
        "Each column added its number to the seed, and every rank drew a mask of its own shape. Rows have other data, "
        "and all of them drop the same places; and where x is the same over tp its copies drift apart.",
        DRAW,
    ),
    (
        "a seed of its own",
        "Your function sets a seed. Then every call drops the same places, in every layer and at every step. All ranks "
        "have the same random state when it is called: draw from that.",
        "torch.manual_seed, or a Generator of your own: neither is needed.",
    ),
    (
        "torch's dropout",
        "You called torch's dropout on the shard. It draws a mask of the shard's shape from the state that all ranks "
        "have, so that all of them drop the same places.",
        DRAW,
    ),
    (
        "torch's dropout of ones",
        "Your mask is whole, but torch's dropout has drawn it, in another way. The dense model keeps the places where "
        "torch.rand(shape) >= p.",
        DRAW,
    ),
    (
        "drawn by bernoulli",
        "Your mask keeps the places where torch.rand(shape) < 1 − p, as torch.bernoulli does. As many stay, but not "
        "the same ones: the dense model keeps those where torch.rand(shape) >= p.",
        DRAW,
    ),
    (
        "above 1 − p",
        "You kept the places where torch.rand(shape) is above 1 − p: a share p of them, and not 1 − p.",
        "the comparison: >= p stays.",
    ),
    (
        "drawn by randn",
        "torch.randn draws normal numbers; a share p of them is not below p. The dense model keeps the places where "
        "torch.rand(shape) >= p.",
        DRAW,
    ),
    (
        "drawn in x's dtype",
        "You drew the mask in x's dtype, float64 here, which takes other numbers from the same state. The dense model "
        "draws torch.rand(shape), in the default dtype.",
        DRAW,
    ),
    (
        "one draw a token",
        "Your mask keeps or drops whole tokens: one number was drawn for all of the last dim.",
        "the shape of the draw.",
    ),
    (
        "drawn on rank 0",
        "Rank 0 draws the mask and sends it to all. The mask is right, at the price of a message; and the other ranks' "
        "random state stays where it was, so that they will draw something else next. Each rank can draw the mask.",
        DRAW,
    ),
    (
        "random state put back",
        "Your mask is right, but the random state is as it was before. The next dropout then draws the same numbers "
        "once more; in the dense model they have been used.",
        "what happens to torch's random state: it goes on by as many numbers as the dense model draws.",
    ),
    (
        "own size times the ranks",
        "You took your own size times the ranks for the whole one. Where sizes do not divide the first ranks have one "
        "more than the last: they draw masks of different shapes, and no two fit together.",
        SIZES,
    ),
    (
        "largest size times the ranks",
        "You took the largest shard's size times the ranks for the whole one. Where sizes do not divide that is too "
        "much: 7 tokens are 4 and 3.",
        SIZES,
    ),
    (
        "tp's cut left out",
        "Along dp your mask is right, but where x is cut over tp too, you drew only as much as this rank has: the "
        "ranks of a row drop the same places of their shards.",
        "the loop over cut: each name in it, for the sizes and for the slices.",
    ),
    (
        "dp's cut left out",
        "Along tp your mask is right, but where x is cut over dp too, you drew only as much as this row has: all rows "
        "drop the same places.",
        "the loop over cut: each name in it, for the sizes and for the slices.",
    ),
    (
        "sizes of the world",
        "You added up the sizes over all ranks. Each dim is cut over one dimension of the mesh: along the other one "
        "the same size is there again.",
        SIZES,
    ),
    (
        "coordinates exchanged",
        "You took this rank's place along tp for its place along dp, and the other way round.",
        PLACE,
    ),
    (
        "rank for the place",
        "You used the rank to find your place along each mesh dimension. On a 2×2 mesh ranks 0 and 1 are both in row "
        "0, and ranks 0 and 2 both in column 0.",
        PLACE,
    ),
    (
        "place times own size",
        "You let your place in the mask begin at your number times your own size. Where sizes do not divide the shards "
        "before yours may be larger than yours.",
        "how the mask is cut: exactly as x was, with tensor_split.",
    ),
    ("first shard", "Every rank took the first shard of the mask.", PLACE),
    ("shards in reverse", "The shards of your mask are in reverse order: rank 0's place is taken by the last.", PLACE),
    (
        "dealt out",
        "You dealt the mask out, every p-th entry to a rank. Shards are runs: tensor_split.",
        "how the mask is cut: exactly as x was.",
    ),
    (
        "torch.chunk",
        "You cut the mask with chunk. It gives equal runs and leaves the last one what is over; x was cut with "
        "tensor_split, which differs by at most one. 9 tokens on 4 ranks are 3, 2, 2, 2 there, and 3, 3, 3 here.",
        "how the mask is cut: exactly as x was.",
    ),
    (
        "cuts in the mesh's order",
        "You cut over dp first, always. Where one dim is cut twice the order decides who has what: `cut` names them in "
        "the order in which x was cut.",
        "the order of your loop: that of cut.",
    ),
    (
        "last cut first",
        "You undid the order of the cuts. Where one dim is cut twice the order decides who has what: `cut` names them "
        "in the order in which x was cut, and the mask is cut in the same order.",
        "the order of your loop: that of cut.",
    ),
    ("not scaled", "What stays is not divided by 1 − p: the sum over many numbers shrinks.", "the scale: 1 / (1 − p)."),
    ("scaled down", "What stays is multiplied by 1 − p. It is divided, to make up for what is dropped.", "the scale."),
    (
        "divided by p",
        "What stays is divided by p, the share that is dropped. 1 − p is the share that stays.",
        "the scale.",
    ),
    (
        "not scaled backward",
        "What stays is divided by 1 − p forward, and its gradient is not.",
        "backward: the gradient of x · c is c times the gradient.",
    ),
    ("scaled twice", "What stays is divided by 1 − p twice.", "the scale: F.dropout has one of its own."),
    (
        "dropped ones kept",
        "You kept the places where torch.rand(shape) < p: those that the dense model drops.",
        "the comparison: >= p stays.",
    ),
)
