"""A model without numbers: the shapes of its parameters and how they lie, enough to compile what no memory holds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from tplearn.gspmd.checkpoint import Spec, whole_shape
from tplearn.gspmd.specs import partition_spec, text_sharding
from tplearn.llama.config import LlamaConfig
from tplearn.llama.tensors import HEAD, TensorNames


def abstract_arrays(
    config: LlamaConfig, mesh: Mesh, dtype: jnp.dtype = jnp.bfloat16, spec: Spec = partition_spec
) -> dict[str, jax.ShapeDtypeStruct]:
    """What `load` would give: by Hugging Face name the shape, dtype and sharding of each parameter, padding included.

    `jax.jit(…).lower(abstract_arrays(…), …).compile()` compiles a model of any size.
    Raises ValueError for a dimension that the mesh does not divide.
    """
    arrays = {}
    for _, parts in TensorNames(config).parameters():
        for name, shape in parts.items():
            if name == HEAD and config.tie_word_embeddings:
                continue
            sharding = NamedSharding(mesh, spec(name, mesh))
            arrays[name] = jax.ShapeDtypeStruct(whole_shape(name, shape, sharding), dtype, sharding=sharding)
    return arrays


def abstract_ids(batch: int, length: int, mesh: Mesh) -> jax.ShapeDtypeStruct:
    """Token ids [batch, length] without numbers, texts over "batch"."""
    return jax.ShapeDtypeStruct((batch, length), jnp.int32, sharding=text_sharding(mesh))
