"""What the wrong answers to exercise 15.2 show: names for calls, results for contributions, one spelling of three."""

from tplearn.checks.ch15_gspmd.rows_wrong import wrong_rows
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_rows,
    (
        "the word anywhere",
        "You take every line in which the word stands, also those that only use a collective's result, and so count "
        "one several times. A call has the op just before its bracket: all-reduce(…).",
        "what stands between the result's type and the bracket.",
    ),
    (
        "the name on the left",
        "You go by the name on the left of the =. It is only a name: %psum.3 may be an all-reduce, and a shard_map's "
        "collectives bear JAX's names. What is called stands right of the type, just before the bracket.",
        "the text just before the bracket.",
    ),
    (
        "no tuples",
        "A combined all-reduce is missing from your rows. Its type is a tuple, (f32[4,2]{1,0}, f32[3]{0}), with blanks "
        "in it.",
        "what your pattern takes for a type.",
    ),
    (
        "combined as one row",
        "You make one row of a combined all-reduce. The compiler has put several tensors into one call; the course's "
        "ledger, to be compared with, has a row for each of them.",
        "results that are tuples.",
    ),
    (
        "first tensor only",
        "Of a combined all-reduce you take the first tensor, and leave out the others.",
        "results that are tuples: re.findall gives all of them.",
    ),
    (
        "results",
        "Your bytes are those of the results. The ledger has what a device gives in: the result of an all-gather is p "
        "times as large, and that of a reduce-scatter is a p-th.",
        "all-gather: divide by p; reduce-scatter: multiply by p.",
    ),
    (
        "results of all-gathers",
        "For an all-gather you take the bytes of the result. A device gives in a p-th of it.",
        "all-gather: divide by p.",
    ),
    (
        "results of reduce-scatters",
        "For a reduce-scatter you take the bytes of the result. A device gives in p times as many: it comes with the "
        "whole summand, and keeps its part of the sum.",
        "reduce-scatter: multiply by p.",
    ),
    (
        "the wrong way round",
        "You multiply by p where you should divide, and the other way round. An all-gather's result is larger than "
        "what a device gives in; a reduce-scatter's is smaller.",
        "all-gather: divide by p; reduce-scatter: multiply by p.",
    ),
    (
        "four bytes each",
        "You count four bytes for every number. bf16 has two, f64 eight, pred one.",
        "the letters in front of the bracket: BYTES.",
    ),
    (
        "numbers for bytes",
        "You count numbers, not bytes.",
        "the letters in front of the bracket: BYTES.",
    ),
    (
        "single numbers without bytes",
        "f32[] is one number, not none: the product of no dimensions is 1.",
        "a shape without dimensions.",
    ),
    (
        "single numbers left out",
        "f32[] is a tensor too: one number. Your rows leave it out.",
        "a shape without dimensions.",
    ),
    (
        "groups, not members",
        "You take the number of groups for the number of devices in one. {{0,1,2,3},{4,5,6,7}} are two groups of four, "
        "and [2,4]<=[8] says the same.",
        "the size of the first group.",
    ),
    (
        "the first of two numbers",
        "[2,4]<=[8] is a table of two rows and four columns: two groups of four. You took the number of groups.",
        "the second number in the first bracket.",
    ),
    (
        "turned by T",
        "In [4,2]<=[2,4]T(1,0) you take the first number for p. T says in which order the devices are dealt out; the "
        "first bracket stays groups × devices: four groups of two.",
        "the second number in the first bracket, with T or without.",
    ),
    (
        "device_ids for groups",
        "For groups along axes of a mesh you read p from device_ids. That says where each device stands in the mesh; a "
        "group has as many as the axes in the last braces.",
        "mesh['axis_0'=2,'axis_1'=4], device_ids=([4,2]T(1,0)) {'axis_1'}: groups of 4.",
    ),
    (
        "lists only",
        "You read groups that are written as lists, and take 8 devices for all others. XLA has two spellings more, and "
        "may use all three in one text.",
        "[2,4]<=[8] and mesh['axis_0'=2,'axis_1'=4] {'axis_1'}.",
    ),
    (
        "lists only, and an error",
        "You read groups that are written as lists, and no others. XLA has two spellings more, and may use all three "
        "in one text.",
        "[2,4]<=[8] and mesh['axis_0'=2,'axis_1'=4] {'axis_1'}.",
    ),
    (
        "no meshes",
        "You do not read groups that are axes of a mesh. Their size is the product of the sizes of the axes that stand "
        "in the last braces.",
        "mesh['axis_0'=2,'axis_1'=4] {'axis_1'}: groups of 4.",
    ),
    (
        "the mesh's devices",
        "For groups along axes of a mesh you take all of the mesh's devices. Only the axes in the last braces run "
        "inside a group; the others tell groups apart.",
        "mesh['axis_0'=2,'axis_1'=4] {'axis_1'}: groups of 4.",
    ),
    (
        "axes counted",
        "You count the axes in the last braces. Their sizes stand in the first bracket, and multiply.",
        "mesh['axis_0'=2,'axis_1'=4] {'axis_1'}: groups of 4.",
    ),
    (
        "one axis only",
        "Where a group runs along two axes of the mesh, you take the size of the first. The sizes multiply.",
        "{'axis_0','axis_2'}.",
    ),
    (
        "hyphens",
        "Your ops are written as in XLA. The course's ledger has all_reduce, with a _.",
        'op.replace("-", "_").',
    ),
    (
        "sorted",
        "Your rows are sorted. They stand in the order of the text, which is the order in which they run.",
        "the order of the rows.",
    ),
)
