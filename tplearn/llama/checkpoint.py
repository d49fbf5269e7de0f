"""The safetensors files of a folder: what they hold, and reads of no more than the rows and columns that are asked for.

Only safetensors is read. Pickle (`pytorch_model.bin`) can run any code while it is loaded.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from tplearn.llama.files import damaged, model_folder, require_file, unreadable, weight_files

CHUNK = 16 << 20  # bytes read at a time, beyond which a rank needs memory for its own parameters only


@dataclass(frozen=True)
class Stored:
    """A tensor in a file; `dtype` in safetensors' words, such as BF16."""

    path: Path
    shape: tuple[int, ...]
    dtype: str


class Checkpoint:
    """The tensors of a folder, by name. `bytes_read` counts what was read; `not_finite` names where NaN or ∞ was.

    Opening reads the headers of all files. Raises ValueError where one is missing, damaged, or repeats a tensor.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = model_folder(folder)
        self.bytes_read = 0
        self.not_finite: list[str] = []
        self.tensors: dict[str, Stored] = {}
        self.indexed: dict[str, Path] = {}  # where the index says that a tensor is
        self.opened: tuple[Path, safe_open] | None = None
        self.mapped = 0  # bytes touched since a file was opened
        for path, names in weight_files(self.folder).items():
            require_file(path)
            self.indexed |= dict.fromkeys(names, path)
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    if name in self.tensors:
                        raise ValueError(f"{name} is in {self.tensors[name].path} and in {path}; one of them works")
                    tensor = file.get_slice(name)
                    self.tensors[name] = Stored(path, tuple(tensor.get_shape()), tensor.get_dtype())

    def read_into(self, out: Tensor, name: str, dim: int, start: int) -> None:
        """Fill `out` with the shard of a tensor that begins at `start` along `dim`; any dtype becomes out's."""
        stored = self.tensors[name]
        rows = max(1, CHUNK // max(1, math.prod(stored.shape[1:]) * out.element_size()))
        for first in range(0, out.shape[0], rows):
            part = out[first : first + rows]
            begin = start + first if dim == 0 else first
            where = [slice(begin, begin + part.shape[0])]
            if dim == 1:
                where.append(slice(start, start + out.shape[1]))
            read = self._file(stored.path).get_slice(name)[tuple(where)]
            part.copy_(read)
            self.bytes_read += read.nbytes
            # A sum is cheap while the numbers are at hand, and finite unless one is not (or the sum is too large).
            if not math.isfinite(part.sum()) and not part.isfinite().all() and name not in self.not_finite:
                self.not_finite.append(name)
            self.mapped += len(part) * math.prod(stored.shape[1:]) * read.element_size()

    def _file(self, path: Path) -> safe_open:
        """The file, open; anew after CHUNK bytes, because what was touched of a mapped file counts as memory."""
        if self.opened is None or self.opened[0] != path or self.mapped > CHUNK:
            self.opened, self.mapped = (path, _open(path)), 0
        return self.opened[1]

    def close(self) -> None:
        """Let go of the file that is open, and warn of tensors in which a number was NaN or ∞."""
        self.opened = None
        for name in self.not_finite:
            warnings.warn(f"{name} of {self.folder} has numbers that are NaN or infinite", stacklevel=3)


def _open(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise damaged(path, error) from None
    except OSError as error:
        raise unreadable(path, error) from None
