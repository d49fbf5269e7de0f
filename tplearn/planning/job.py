"""What is trained, and how it is laid out over accelerators."""

from dataclasses import dataclass

from tplearn.planning.flops import check_recompute
from tplearn.planning.memory import check_positive, kv_heads_per_rank
from tplearn.planning.models import ModelShape
from tplearn.sizes import divisors, require_size

ZERO_STAGES = (0, 1, 2, 3)


@dataclass(frozen=True)
class TrainingJob:
    """A model, and the batch of a step: `batch` sequences of `sequence` tokens.

    Weights are bf16. Gradients are added up in `gradient_bytes` (4: float32, as Megatron-LM and Llama 3 do; 2: bf16).
    Without `flash_attention` the scores are stored, as before 2022.

    Raises:
        ValueError: a size below 1, or gradient_bytes other than 2 and 4.
    """

    shape: ModelShape
    sequence: int
    batch: int
    flash_attention: bool = True
    gradient_bytes: int = 4

    def __post_init__(self) -> None:
        check_positive(sequence=self.sequence, batch=self.batch)
        if self.gradient_bytes not in (2, 4):
            raise ValueError(f"gradient_bytes = {self.gradient_bytes} does not work; 2 (bf16) and 4 (float32) work")

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch * self.sequence


@dataclass(frozen=True)
class Layout:
    """tp · cp · pp · dp accelerators. Ranks are numbered from the inside: tp, cp, pp, dp (arXiv:2407.21783, 3.3.2).

    `zero`: what the dp · cp copies of a weight share out: 0 nothing, 1 the optimizer's states, 2 gradients too, 3
    weights too (FSDP). `micro_batches` of each copy run one after the other. `virtual_stages`: pieces of the model on
    each pipeline rank (the interleaved schedule's v).

    Raises:
        ValueError: a size below 1, or a zero or recompute that does not exist.
    """

    tp: int = 1
    cp: int = 1
    pp: int = 1
    dp: int = 1
    zero: int = 1
    micro_batches: int = 1
    recompute: str = "none"
    virtual_stages: int = 1
    sequence_parallel: bool = True

    def __post_init__(self) -> None:
        for name in ("tp", "cp", "pp", "dp", "micro_batches", "virtual_stages"):
            require_size(name, getattr(self, name))
        if self.zero not in ZERO_STAGES:
            raise ValueError(f"zero = {self.zero!r} is no stage of ZeRO; stages that work: 0, 1, 2, 3")
        check_recompute(self.recompute)

    @property
    def accelerators(self) -> int:
        """In the whole layout."""
        return self.tp * self.cp * self.pp * self.dp


def stage_layers(layers: int, pp: int) -> tuple[int, ...]:
    """Layers of each pipeline stage. What does not divide is taken off the last stage first, then off the first.

    Those two also hold the head and the embedding: Llama 3 405B runs 126 layers as 7, 8, ..., 8, 7 on 16 stages.

    Raises ValueError where there are more stages than layers.
    """
    if pp > layers:
        raise ValueError(f"pp = {pp} stages are more than num_hidden_layers = {layers}; sizes that work: 1 to {layers}")
    most = -(-layers // pp)
    short = most * pp - layers
    if short == 0:
        return (most,) * pp
    return (most - 1,) * (short - 1) + (most,) * (pp - short) + (most - 1,)


def micro_batch_sequences(job: TrainingJob, layout: Layout) -> int:
    """Sequences in one micro-batch of one copy, after a check that the layout cuts this job.

    Raises ValueError, with the sizes that work: tp must cut the heads, pp the layers, cp the sequence, dp and
    micro_batches the batch, virtual_stages the layers of a stage. Interleaved, micro_batches is a multiple of pp, for
    that schedule takes pp of them at a time (arXiv:2104.04473, section 2.2).
    """
    kv_heads_per_rank(job.shape, layout.tp)
    most = max(stage_layers(job.shape.num_hidden_layers, layout.pp))
    if most % layout.virtual_stages:
        raise ValueError(
            f"virtual_stages = {layout.virtual_stages} does not divide the {most} layers of a stage; "
            f"sizes that work: {', '.join(map(str, divisors(most)))}"
        )
    if layout.cp > 1 and job.sequence % (2 * layout.cp):
        raise ValueError(
            f"sequence = {job.sequence} cannot be cut into 2 · cp = {2 * layout.cp} pieces, two for each rank; "
            f"cp that work: {', '.join(str(cp) for cp in divisors(job.sequence) if job.sequence % (2 * cp) == 0)}"
        )
    if job.batch % layout.dp:
        works = ", ".join(map(str, divisors(job.batch)))
        raise ValueError(f"batch = {job.batch} cannot be split over dp = {layout.dp} copies; sizes that work: {works}")
    own = job.batch // layout.dp
    if own % layout.micro_batches:
        works = ", ".join(map(str, divisors(own)))
        raise ValueError(
            f"micro_batches = {layout.micro_batches} does not cut a copy's {own} sequences; sizes that work: {works}"
        )
    if layout.virtual_stages > 1 and layout.micro_batches % layout.pp:
        raise ValueError(
            f"micro_batches = {layout.micro_batches} is no multiple of pp = {layout.pp}, which virtual_stages = "
            f"{layout.virtual_stages} needs; multiples of {layout.pp}, and virtual_stages = 1, work"
        )
    return own // layout.micro_batches
