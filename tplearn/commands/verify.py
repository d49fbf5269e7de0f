"""`tplearn verify`: one model over meshes of batch × model ranks, each against the model on one rank."""

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from tplearn.commands.group import number_of_ranks, on_ranks, own_device, require_device, synchronize
from tplearn.commands.options import require, require_cut
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.agreement import Agreement, agreement
from tplearn.llama.loading import examine
from tplearn.parallel.heads import head_range
from tplearn.parallel.vocabulary import vocab_range
from tplearn.sizes import shard_range

SEQUENCE = 32  # tokens of each text


@dataclass(frozen=True)
class Holding:
    """What one rank holds and computes; ranges are (start, stop)."""

    rank: int
    texts: tuple[int, int]
    heads: tuple[int, int]
    kv_heads: tuple[int, int]
    columns: tuple[int, int]
    words: tuple[int, int]
    weight_bytes: int


@dataclass(frozen=True)
class Verdict:
    """One mesh: how its logits agree with those of one rank, and what it took."""

    mesh: tuple[int, int]
    shape: tuple[int, ...]
    agreement: Agreement | None
    load_seconds: float
    forward_seconds: float
    holdings: tuple[Holding, ...]


def parse_meshes(text: str) -> list[tuple[int, int]]:
    """ "1x8,2x4" → [(1, 8), (2, 4)]: batch × model. Raises ValueError unless all have the same number of ranks."""
    sizes = re.fullmatch(r"([1-9]\d{0,4}x[1-9]\d{0,4},)*", text + ",", flags=re.ASCII)
    require("mesh", text, sizes is not None, "a list of batch x model works, such as 1x8,2x4")
    meshes = [(int(batch), int(model)) for batch, model in (mesh.split("x") for mesh in text.split(","))]
    equal = len({batch * model for batch, model in meshes}) == 1
    require("mesh", text, equal, "meshes of the same number of ranks work, such as 1x8,2x4,4x2,8x1")
    return meshes


def verify_folder(folder: Path, meshes: list[tuple[int, int]], device: str) -> list[Verdict]:
    """A verdict for each mesh. Raises ValueError, before a rank starts, where one does not cut the model."""
    require_device(device)
    ranks = number_of_ranks(math.prod(meshes[0]), "mesh")
    config = examine(folder)
    for batch, model in meshes:
        require_cut(config, model, f"--mesh {batch}x{model}")
    return on_ranks(_on_ranks, ranks, device, folder, meshes)


def _on_ranks(folder: Path, meshes: list[tuple[int, int]]) -> list[Verdict]:
    config, device = LlamaConfig.from_folder(folder), own_device()
    batch = math.lcm(*(batch for batch, _ in meshes))  # texts: every mesh cuts them evenly
    length = min(SEQUENCE, config.max_length)
    ids = torch.randint(config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(0)).to(device)
    alone = [dist.new_group([rank]) for rank in range(dist.get_world_size())][dist.get_rank()]
    due = torch.empty(0)
    if dist.get_rank() == 0:
        due = _forward(Llama.from_pretrained(folder, alone, device=device), ids)[0].cpu()
    names = ("batch", "model")
    return [
        _verify(folder, config, init_device_mesh(device.type, mesh, mesh_dim_names=names), ids, due) for mesh in meshes
    ]


def _verify(folder: Path, config: LlamaConfig, mesh: DeviceMesh, ids: Tensor, due: Tensor) -> Verdict:
    dist.barrier()
    start = time.perf_counter()
    model = Llama.from_pretrained(folder, mesh.get_group("model"), device=ids.device)
    loaded = time.perf_counter() - start
    texts = shard_range(len(ids), mesh.get_local_rank("batch"), mesh.size(0), "batch")
    logits, taken = _forward(model, ids[slice(*texts)])
    own = _holding(config, mesh, texts, sum(parameter.nbytes for parameter in model.parameters()))
    gathered: list = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, (own, logits.cpu() if mesh.get_local_rank("model") == 0 else None))
    whole = torch.cat([part for _, part in gathered if part is not None])
    judged = agreement(whole, due) if len(due) else None  # rank 0's is the one that is told
    holdings = tuple(holding for holding, _ in gathered)
    return Verdict(tuple(mesh.shape), tuple(whole.shape), judged, loaded, taken, holdings)


@torch.inference_mode()
def _forward(model: Llama, ids: Tensor) -> tuple[Tensor, float]:
    """Logits, and the seconds of the second of two passes."""
    model(ids)
    synchronize()
    start = time.perf_counter()
    logits = model(ids)
    synchronize()
    return logits, time.perf_counter() - start


def _holding(config: LlamaConfig, mesh: DeviceMesh, texts: tuple[int, int], weight_bytes: int) -> Holding:
    rank, size = mesh.get_local_rank("model"), mesh.size(1)
    heads = head_range(config.num_attention_heads, config.num_key_value_heads, rank, size)
    columns = shard_range(config.intermediate_size, rank, size)
    words = vocab_range(config.vocab_size, rank, size)[:2]
    return Holding(dist.get_rank(), texts, heads.queries, heads.keys, columns, words, weight_bytes)
