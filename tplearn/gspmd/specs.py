"""The table of annotations: which axis of the mesh cuts which dimension of a parameter."""

import re

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tplearn.gspmd.devices import BATCH, COPY, KV, MODEL
from tplearn.llama.tensors import EMBEDDING, HEAD, NORM

LAYER = re.compile(
    r"model\.layers\.(?:0|[1-9]\d*)\.(?:"
    r"self_attn\.(?P<attention>[qkvo])_proj|mlp\.(?P<mlp>gate|up|down)_proj|"
    r"(?P<norm>input_layernorm|post_attention_layernorm))\.(?P<kind>weight|bias)"
)
AXES = {(BATCH, MODEL): (MODEL, MODEL), (BATCH, KV, COPY): ((KV, COPY), KV)}  # what cuts queries and the rest, and KV


def partition_spec(name: str, mesh: Mesh) -> PartitionSpec:
    """How a parameter of a Llama or a Qwen2 lies on the mesh, by its Hugging Face name.

    | parameter                  | dense shape        | cut                                                  |
    | q_proj, gate_proj, up_proj | [out, in]; [out]   | rows: the outputs (column-parallel)                  |
    | k_proj, v_proj             | [kv·d, in]; [kv·d] | rows, over "kv" alone where copies hold the same     |
    | o_proj, down_proj          | [out, in]          | columns: the inputs (row-parallel)                   |
    | embed_tokens, lm_head      | [vocab, hidden]    | rows: the words                                      |
    | norms                      | [hidden]           | not at all                                           |

    Raises ValueError for a name that is none of these (JAX would replicate it without a word) and for other axes.
    """
    every, kv = model_axes(mesh)
    if name in (EMBEDDING, HEAD):
        return PartitionSpec(every, None)
    if name == NORM:
        return PartitionSpec()
    found = LAYER.fullmatch(name)
    if found is None or (found["kind"] == "bias" and found["attention"] not in ("q", "k", "v")):
        raise ValueError(
            f"name = {name!r} is no parameter of a Llama or a Qwen2; names such as {EMBEDDING}, "
            f"model.layers.0.self_attn.q_proj.weight and {HEAD} work"
        )
    if found["norm"]:
        return PartitionSpec()
    if found["attention"] == "o" or found["mlp"] == "down":
        return PartitionSpec(None, every)
    rows = kv if found["attention"] in ("k", "v") else every
    return PartitionSpec(rows) if found["kind"] == "bias" else PartitionSpec(rows, None)


def model_axes(mesh: Mesh) -> tuple[str | tuple[str, ...], str]:
    """What cuts queries, MLP and words, and what cuts KV heads. Raises ValueError for a mesh of other axes."""
    if mesh.axis_names not in AXES:
        works = " and ".join(map(str, AXES))
        raise ValueError(f"axes = {mesh.axis_names} of the mesh; {works} work, as make_mesh and make_kv_mesh give")
    return AXES[mesh.axis_names]


def text_sharding(mesh: Mesh) -> NamedSharding:
    """How ids and targets [batch, seq] lie: texts over "batch", for `jax.device_put`."""
    return NamedSharding(mesh, PartitionSpec(BATCH, None))
