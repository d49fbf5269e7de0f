"""What the wrong answers to exercise 15.3 show: too much read, padding that is none, shards that lie elsewhere."""

from tplearn.checks.ch15_gspmd.load_wrong import wrong_load
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_load,
    (
        "all read, then put",
        "The arrays are right, and no byte is read twice. But you read each tensor whole and let device_put cut it. A "
        "table of a large model may fit on no device, nor into this process: read the slices, and never all of them "
        "at once.",
        "jax.make_array_from_callback(shape, sharding, read): read gets the slices of one device.",
    ),
    (
        "once for each device",
        "The arrays are right, but JAX asks for the slices of each device by itself, also where several hold the same, "
        "and you read the file each time. What lies whole on 8 devices is then read 8 times.",
        "keep what was read, by its start and stop, and give it again.",
    ),
    (
        "whole for each slice",
        "The arrays are right, but for each slice you read the whole tensor and cut it afterwards. Slice first: "
        "part[rows, columns] reads these numbers and no others.",
        "the brackets behind get_slice(name).",
    ),
    (
        "whole rows for columns",
        "The arrays are right, but for cuts by columns you read whole rows and cut them afterwards. Both slices belong "
        "into one bracket: part[rows, columns].",
        "tensors that are cut along their second dimension.",
    ),
    (
        "whole rows, kept",
        "The arrays are right, and no byte is read twice. But where columns are cut, alone or with rows, you read "
        "whole rows and cut them afterwards: more at once than one device holds. Both slices belong into one bracket: "
        "part[rows, columns].",
        "tensors that are cut along their second dimension.",
    ),
    (
        "shared out evenly",
        "Where a dimension does not divide, you share it out evenly, and pad each short part. The zeros then stand "
        "between the numbers. JAX cuts an array into equal parts, so all padding is at the end.",
        "the slices that the callback gets, cut off at the file's end.",
    ),
    (
        "everything replicated",
        "Each device holds all of every tensor: the specs were not used.",
        "NamedSharding(mesh, spec(name)).",
    ),
    (
        "no sharding",
        "Your arrays lie on one device, and not on the mesh.",
        "jax.make_array_from_callback(shape, NamedSharding(mesh, spec(name)), read).",
    ),
    (
        "padded with ones",
        "The rows that no word fills are not zero. Whatever stands there is multiplied with the stream, and shows in "
        "logits and norms of those who forget to cut it off.",
        "the numbers of the padding.",
    ),
    (
        "padding on top",
        "The zeros stand before the numbers of a shard. Each row keeps its place, word for word; the zeros come last.",
        "the side on which np.pad adds: (0, n).",
    ),
    (
        "no padding",
        "You left the shape as it is in the file. Where a dimension does not divide by its number of parts, JAX "
        "refuses to cut it.",
        "the shape: up to the next multiple of the number of parts.",
    ),
    (
        "a rest dropped",
        "You cut the rest off: where 10 words do not divide by 4, you kept 8. The last words are on no device.",
        "the shape: up to the next multiple, not down.",
    ),
    (
        "padded for all devices",
        "You pad up to a multiple of all devices of the mesh. A dimension has to divide by the axes that cut it, and "
        "no others.",
        "mesh.shape[axis] for the axes in this dimension's entry.",
    ),
    (
        "one axis of two",
        'Where a dimension is cut over two axes, ("batch", "model"), you count the parts of the first. The sizes '
        "multiply.",
        "entries of the spec that are tuples.",
    ),
    (
        "ragged",
        "For the last shard you return the rows that are left in the file, fewer than the others have. All shards have "
        "one shape; what the file does not fill is zero.",
        "what read returns for a device at the end of the file.",
    ),
    (
        "the file's last rows",
        "For the last shard you took the last rows of the file, so that it be full. Some words are then there twice, "
        "and each row behind stands for another word.",
        "what read returns for a device at the end of the file.",
    ),
    (
        "float32",
        "Your arrays are float32, also where the file has float64. The numbers are due in the file's type.",
        "what is done with the numbers between file and array.",
    ),
    (
        "float64",
        "Your arrays are float64, also where the file has float32. The numbers are due in the file's type.",
        "arrays that you make yourself: np.zeros(shape) is float64 unless it is told a dtype, such as own.dtype.",
    ),
)
