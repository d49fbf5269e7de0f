"""The files of a model folder, under Hugging Face's names: where they are, and one sentence on why one is not read."""

import json
import os
import stat
from pathlib import Path

CONFIG, GENERATION, TOKENIZER = "config.json", "generation_config.json", "tokenizer.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
SHOWN = 6  # files that a message lists
KINDS = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "null"}


def model_folder(folder: str | Path) -> Path:
    """`folder`, which holds a config.json. Raises ValueError, with the folder that works where one is near."""
    path = Path(folder)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise ValueError(
            f"{path} {_absent(path)}; a folder with a {CONFIG} works (nothing is downloaded: `hf download NAME "
            "--local-dir FOLDER` fetches a published model)"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not is_folder:
        raise ValueError(f"{path} is a file; the folder that holds it works: {path.parent}")
    if not there(path / CONFIG):
        raise ValueError(f"{path} is no model folder: it has no {CONFIG}{_near(path)}")
    return path


def there(path: Path) -> bool:
    """Whether the name exists, also as a link to nowhere. Raises ValueError where that cannot be found out."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from None
    return True


def require_file(path: Path) -> None:
    """Raises ValueError where `path` is no file to read: not there, empty, a folder, a broken link, an LFS pointer."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}; a file works")
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except FileNotFoundError:
        raise ValueError(f"{path} {_absent(path)}; a fresh download works") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not start:
        raise ValueError(f"{path} is empty; a fresh download works")
    if start == LFS_POINTER:
        raise ValueError(
            f"{path} is a Git LFS pointer, not the file itself; `git lfs pull` in {path.parent} fetches it"
        )


def read_object(path: Path) -> dict:
    """The JSON object of a file. Raises ValueError where it cannot be read, or holds something else."""
    require_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise damaged(path, f"byte {error.start} is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"it is not JSON: {error}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {KINDS[type(content)]}; a JSON object ({{…}}) works")
    return content


def weight_files(folder: Path) -> dict[Path, list[str]]:
    """The safetensors files of a model, each with the tensors that the index names for it (none without an index).

    As in transformers, model.safetensors is taken before an index. Raises ValueError where there is neither, the index
    is damaged, or a file that it names is missing.
    """
    if there(folder / ADAPTER):
        raise ValueError(
            f"{folder / ADAPTER} lies beside the weights, and the adapter would be left out; "
            "merged into the model (PEFT: merge_and_unload), or without it, the folder works"
        )
    single, index = folder / SINGLE, folder / INDEX
    if os.path.isfile(single) or not there(index):
        if not there(single):
            raise ValueError(
                f"{folder} has neither {SINGLE} nor {INDEX}; only safetensors is read, never pickle{_near(folder)}"
            )
        return {single: []}
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise damaged(index, "it has no weight_map")
    files: dict[Path, list[str]] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index} names the file {name!r}; only files in the same folder work, .safetensors")
        files.setdefault(folder / name, []).append(tensor)
    for path in files:
        if not there(path):
            raise ValueError(f"{path} is missing, and {INDEX} names it; a complete download works")
    return files


def damaged(path: Path, why: object) -> ValueError:
    """What to raise for a file that does not hold what its name says."""
    return ValueError(f"{path} is damaged: {why}; a fresh download works")


def unreadable(path: Path, error: OSError) -> ValueError:
    """What to raise for a file or a folder that the system does not let us read."""
    return ValueError(f"{path} cannot be read: {error.strerror or error}")


def _absent(path: Path) -> str:
    if path.is_symlink():
        return f"is a broken link: {path.readlink()} is not there (as in a hub cache that was deleted in part)"
    return "does not exist"


def _near(folder: Path) -> str:
    """What a folder holds instead, for the end of a message."""
    if there(folder / ADAPTER):
        return f"; it has an {ADAPTER}: an adapter must be merged into its model first (PEFT: merge_and_unload)"
    try:
        snapshots = sorted(folder.glob(f"snapshots/*/{CONFIG}"))
        names = sorted((path.name for path in folder.iterdir()), key=lambda name: (name.startswith("."), name))
    except OSError as error:
        return f"; what it has cannot be listed: {error.strerror}"
    if snapshots:
        return f"; it is a hub cache, whose snapshots work: {snapshots[0].parent}"
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"; it has {listed}" if names else "; it is empty"
