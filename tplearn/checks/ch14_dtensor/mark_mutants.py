"""What the wrong answers to exercise 14.7 show: the spec's order, [in, out], no refusal."""

from tplearn.checks.ch14_dtensor.mark_wrong import wrong_mark
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_mark,
    (
        "in the spec's order",
        "Your placements stand in the order of the spec, one for each dim of the weight. DTensor wants one for each "
        "dimension of the *mesh*, and in it the dim of the weight: the table the other way round.",
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "mesh dim for tensor dim",
        "You wrote Shard(number of the mesh dimension). In Shard stands the dim of the weight; the mesh dimension is "
        "the place in the list.",
        "Shard(dim) for dim, name in enumerate(spec).",
    ),
    (
        "[in, out]",
        "You counted the spec from the other end, as for a weight that is [in, out]. The first name belongs to dim 0, "
        "which in an nn.Linear are the outputs.",
        "enumerate(spec).",
    ),
    (
        "replicate forgotten",
        "A mesh dimension that the spec does not name was cut all the same, along dim 0. Along it the weight is "
        "replicated.",
        "Replicate() for the names that are in no place of the spec.",
    ),
    (
        "model alone",
        'You looked for one name, "model". A mesh dimension may be called otherwise, and a spec may name several.',
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "first mesh dimension alone",
        "You looked at the first dimension of the mesh alone. There is a placement for each.",
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "last cut only",
        "Of several cuts you kept the last. A weight may be cut along one mesh dimension and along another.",
        "one list of placements, and one distribute_tensor.",
    ),
    (
        "nothing cut",
        "Your DTensor is replicated: every rank has all of the weight.",
        "Shard(dim) where the spec has a name.",
    ),
    (
        "taken for a shard",
        "You took the whole weight, which every rank has, for a shard of a larger one: DTensor.from_local believes "
        "what it is told. The DTensor is too large now, and every rank has all of the weight.",
        "distribute_tensor cuts; from_local does not.",
    ),
    (
        "sent from rank 0",
        "Right, but rank 0 sent everybody a shard of its own weight. Every rank has the same weight already: it keeps "
        "what is its own.",
        "src_data_rank=None.",
    ),
    (
        "a plain tensor",
        "You returned the shard as a plain tensor, which does not know what it is a shard of. A DTensor is due.",
        "what is returned.",
    ),
    (
        "one name for a dim",
        "Of a tuple of names you took the first. A dim of the weight may be cut over several mesh dimensions: 8 rows "
        'over ("data", "model") on a 2×2 mesh are 2 on each rank, and both placements are Shard(0).',
        "the entries of spec that are tuples.",
    ),
    (
        "last name for a dim",
        "Of a tuple of names you took the last. A dim of the weight may be cut over several mesh dimensions: 8 rows "
        'over ("data", "model") on a 2×2 mesh are 2 on each rank, and both placements are Shard(0).',
        "the entries of spec that are tuples.",
    ),
    (
        "None not counted",
        'You numbered the names of the spec and left out the Nones. An entry\'s place is the dim: (None, "model") '
        "is dim 1.",
        "enumerate over the spec as it is.",
    ),
    (
        "uneven refused",
        "You refuse a dim that does not divide. A DTensor knows its whole size, and gives the last ranks less: 5 rows "
        "on 2 ranks are 3 and 2.",
        "what the task refuses: three things, and this is none of them.",
    ),
    (
        "by number in the world",
        "Each rank took its part by its number among all ranks. On a mesh of two dimensions a rank has a place along "
        "each of them.",
        "mesh.get_local_rank(name), or distribute_tensor, which knows it.",
    ),
    (
        "unknown names ignored",
        "A name that the mesh has not was passed over, and the weight stays whole: a typo would cost memory on every "
        "rank, and nobody would be told. ValueError.",
        "the names that are not in mesh.mesh_dim_names.",
    ),
    (
        "length not looked at",
        "A spec whose entries are not as many as the weight's dims was accepted. ValueError.",
        "len(spec) and weight.ndim.",
    ),
    (
        "a name twice allowed",
        "A name that stands twice was accepted. One mesh dimension can cut one dim only. ValueError.",
        "the names of all entries together.",
    ),
    (
        "any order of names",
        '("model", "data") for one dim was accepted, and the rows came out in the order of the mesh: data outside, '
        "model inside. The spec says the opposite, and each rank has rows that it should not have. ValueError.",
        "the order of names in a tuple, beside that in mesh.mesh_dim_names.",
    ),
    (
        "another error",
        "You refuse with another error than ValueError. (An assert raises AssertionError, and is gone "
        "under python -O.)",
        "the type of the error.",
    ),
    (
        "nothing refused",
        "No spec was refused: names that the mesh has not, or that stand twice, and specs of another length.",
        "what is asked before the placements are made.",
    ),
)
