"""A file of tensors that is read in slices, as safetensors' `safe_open` lets you, and that counts the bytes read."""

from torch import Tensor


class CountingFile:
    """`file.get_slice(name)` has `get_shape()` and is read with `[rows]` or `[rows, columns]`; both take slices."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors, self.bytes_read = tensors, 0

    def keys(self) -> list[str]:
        """The names of the tensors."""
        return list(self.tensors)

    def get_slice(self, name: str) -> "TensorSlice":
        """A tensor of which nothing is read yet. Raises ValueError for a name that is not there."""
        if name not in self.tensors:
            raise ValueError(f"the file has no tensor {name!r}; names that work: {', '.join(self.tensors)}")
        return TensorSlice(self, name)

    def get_tensor(self, name: str) -> Tensor:
        """All of a tensor."""
        return self.get_slice(name)[:]


class TensorSlice:
    """One tensor of a CountingFile; reading it gives new memory."""

    def __init__(self, file: CountingFile, name: str) -> None:
        self.file, self.name = file, name

    def get_shape(self) -> list[int]:
        """The whole tensor's shape; costs no byte of the tensor."""
        return list(self.file.tensors[self.name].shape)

    def __getitem__(self, where: slice | tuple[slice, ...]) -> Tensor:
        part = self.file.tensors[self.name][where].clone()
        self.file.bytes_read += part.nbytes
        return part
