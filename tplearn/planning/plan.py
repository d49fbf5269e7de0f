"""What one GPU stores when tp, pp, dp and FSDP are combined, and whether it fits.

| strategy | weights on a GPU | KV cache on a GPU | gathered while computing |
|---|---|---|---|
| dp copies | all | batch / dp | nothing |
| tp ranks | 1 / tp of each matrix | 1 / tp of the KV heads | nothing |
| pp stages | layers / pp | layers / pp | nothing |
| dp copies with FSDP | 1 / dp of everything | batch / dp | one layer at a time, whole |
"""

import math
from dataclasses import dataclass

from tplearn.planning.memory import check_positive, kv_cache_bytes_per_token, parameter_breakdown
from tplearn.planning.models import ModelShape


@dataclass(frozen=True)
class Plan:
    """The fullest GPU of a layout; all sizes in bytes."""

    shape: ModelShape
    tp: int
    dp: int
    pp: int
    fsdp: bool
    weight_bytes: int
    """weights that the GPU keeps all the time"""
    gathered_bytes: int
    """FSDP only: the largest piece that is made whole to compute with"""
    kv_cache_bytes: int
    """KV cache of the sequences that this GPU serves"""
    sequence_bytes: int
    """KV cache of one sequence on this GPU"""
    gpu_bytes: int

    @property
    def gpus(self) -> int:
        """GPUs in the whole layout."""
        return self.tp * self.dp * self.pp

    @property
    def free_bytes(self) -> int:
        """Capacity left after weights, the gathered layer and the KV cache; negative when it does not fit."""
        return self.gpu_bytes - self.weight_bytes - self.gathered_bytes - self.kv_cache_bytes

    @property
    def fits(self) -> bool:
        """Whether everything fits on the fullest GPU."""
        return self.free_bytes >= 0

    @property
    def max_sequences(self) -> int:
        """Sequences that the whole layout holds at once: dp copies, each as many as fit beside its weights."""
        room = self.gpu_bytes - self.weight_bytes - self.gathered_bytes
        return self.dp * max(0, room // self.sequence_bytes)


def memory_plan(
    shape: ModelShape,
    tp: int = 1,
    dp: int = 1,
    pp: int = 1,
    *,
    gpu_bytes: int,
    batch: int = 1,
    sequence: int = 8192,
    fsdp: bool = False,
    bytes_per_parameter: float = 2,
    bytes_per_value: float = 2,
) -> Plan:
    """Memory of the fullest GPU when `shape` serves `batch` sequences of `sequence` tokens over tp · dp · pp GPUs.

    A batch that dp does not divide is rounded up for the fullest copy. Every pipeline stage holds the cache of all of
    its copy's sequences. Activations are not counted.

    Raises:
        ValueError: tp or pp does not cut the model, or a size is not above 0.
    """
    check_positive(
        dp=dp,
        pp=pp,
        gpu_bytes=gpu_bytes,
        batch=batch,
        sequence=sequence,
        bytes_per_parameter=bytes_per_parameter,
    )
    layers = shape.num_hidden_layers
    if layers % pp:
        works = ", ".join(str(size) for size in range(1, layers + 1) if layers % size == 0)
        raise ValueError(f"num_hidden_layers = {layers} cannot be cut over pp = {pp} stages; sizes that work: {works}")
    stage, largest_piece = _fullest_stage(shape, tp, pp)
    kept = math.ceil(stage / dp) if fsdp else stage
    token_bytes = math.ceil(kv_cache_bytes_per_token(shape, tp, bytes_per_value) / pp)
    return Plan(
        shape,
        tp,
        dp,
        pp,
        fsdp,
        weight_bytes=math.ceil(kept * bytes_per_parameter),
        gathered_bytes=math.ceil((largest_piece - largest_piece / dp) * bytes_per_parameter) if fsdp else 0,
        kv_cache_bytes=math.ceil(batch / dp) * sequence * token_bytes,
        sequence_bytes=sequence * token_bytes,
        gpu_bytes=gpu_bytes,
    )


def _fullest_stage(shape: ModelShape, tp: int, pp: int) -> tuple[int, int]:
    """Parameters on the fullest pipeline stage, and of its largest layer or table."""
    parts = parameter_breakdown(shape, tp)
    final_norm = shape.hidden_size
    layer = (parts["attention"] + parts["mlp"] + parts["norms"] - final_norm) // shape.num_hidden_layers
    table = parts["embedding"]
    body = layer * shape.num_hidden_layers // pp
    if pp == 1:
        return sum(parts.values()), max(layer, table)
    # The last stage needs the head. A tied head is then a second copy of the embedding, on another GPU.
    return body + table + final_norm, max(layer, table)
