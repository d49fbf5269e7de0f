"""Model folders as transformers writes them, and the ways in which real ones differ from that."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, Qwen2Config
from transformers.utils import logging

from tplearn.llama.files import INDEX, SINGLE

logging.disable_progress_bar()
logging.set_verbosity_error()
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 96}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
TOKENS = {"bos_token_id": 1, "eos_token_id": 2}
IDS = torch.randint(3, 96, (2, 12), generator=torch.Generator().manual_seed(0))
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123456\n"
GONE = object()  # as a value: without this field
Tensors = dict[str, Tensor]
Edit = Callable[[Path], object]


def write_model(folder: Path, family: str = "llama", max_shard_size: str = "5GB", **sizes: object) -> PreTrainedModel:
    """A model with large weights of all kinds, as save_pretrained writes it."""
    model, files = _written(family, max_shard_size, tuple(sizes.items()))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return model


@cache
def _written(family: str, max_shard_size: str, sizes: tuple) -> tuple[PreTrainedModel, dict[str, bytes]]:
    torch.manual_seed(1)
    kind = LlamaConfig if family == "llama" else Qwen2Config
    model = AutoModelForCausalLM.from_config(kind(**SIZES | HEADS | TOKENS | dict(sizes))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name else 0.0, 0.2)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        return model, {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        return model(IDS).logits


def theirs(folder: Path) -> PreTrainedModel:
    """What transformers makes of a folder."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def edit_json(name: str, **changes: object) -> Edit:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not GONE}))

    return edit


def config(**changes: object) -> Edit:
    return edit_json("config.json", **changes)


def generation(**changes: object) -> Edit:
    return edit_json("generation_config.json", **changes)


def text(name: str, content: str | bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def remove(name: str) -> Edit:
    return lambda folder: (folder / name).unlink()


def link(name: str, target: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return edit


def as_folder(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return edit


def cut(name: str, keep: int) -> Edit:
    """The first bytes of a file; negative: without the last."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def weights(change: Callable[[Tensors], Tensors], name: str = SINGLE) -> Edit:
    """The file with other tensors in it."""
    return lambda folder: write_tensors(folder / name, change(load_file(folder / name)))


def add(**tensors: Tensor) -> Edit:
    """More tensors; "__" stands for a dot."""
    return weights(lambda old: old | {name.replace("__", "."): tensor for name, tensor in tensors.items()})


def rename(new_name: Callable[[str], str]) -> Edit:
    return weights(lambda old: {new_name(name): tensor for name, tensor in old.items()})


def write_tensors(path: Path, tensors: Tensors) -> None:
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def index(change: Callable[[dict], object]) -> Edit:
    """The index of a folder of many files, changed in place."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / INDEX).read_text())
        change(content)
        (folder / INDEX).write_text(json.dumps(content))

    return edit


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def all_of(*edits: Edit) -> Edit:
    return lambda folder: [edit(folder) for edit in edits]
