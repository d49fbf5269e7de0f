"""A Llama in stages: each has some neighbouring layers; the first has the embedding too, the last norm and head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from tplearn.llama import Llama, rope
from tplearn.parallel import vocab_parallel_cross_entropy
from tplearn.parallel.place import Group, Place
from tplearn.pipeline.kinds import kind_of
from tplearn.planning import stage_layers
from tplearn.sizes import require_size, shown

if TYPE_CHECKING:
    from torch.distributed.pipelining import PipelineStage


class Part(nn.Module):
    """Layers start to stop of a Llama that may be cut over tp; parameters have their names of the whole model.

    | stage    | takes                                       | gives                               |
    | first    | input_ids [batch, seq]                      | x [batch, seq, hidden]              |
    | between  | x [batch, seq, hidden]                      | x [batch, seq, hidden]              |
    | last     | x [batch, seq, hidden]                      | logits_shard [batch, seq, words/tp] |

    With sequence_parallel, x is [batch, seq/tp, hidden]. Modules are the whole model's own, not copies: once the whole
    is deleted, a rank keeps its part only. Raises ValueError, in forward, for a text longer than the model allows.
    """

    def __init__(self, whole: Llama, start: int, stop: int) -> None:
        super().__init__()
        self.config, self.frequencies = whole.config, whole.frequencies
        self.place, self.sequence_parallel = whole.place, whole.sequence_parallel
        last = stop == whole.config.num_hidden_layers
        self.embed_tokens = whole.embed_tokens if start == 0 else None
        self.layers = nn.ModuleDict({str(number): whole.layers[number] for number in range(start, stop)})
        self.norm, self.lm_head = (whole.norm, whole.lm_head) if last else (None, None)

    def forward(self, x: Tensor) -> Tensor:
        """What the stage before gives → what this one gives."""
        cut = self.sequence_parallel and self.embed_tokens is None
        length = x.shape[1] * (self.place.world_size if cut else 1)  # of the whole text
        if length > self.config.max_length:
            raise ValueError(f"{length} tokens are more than the model allows: up to {self.config.limit} work")
        if self.embed_tokens is not None:
            x = self.embed_tokens(x)
        cos, sin = rope.tables(self.frequencies, 0, length, x)
        for layer in self.layers.values():
            x = layer(x, cos, sin)
        return x if self.norm is None else self.lm_head(self.norm(x))

    def loss(self, logits_shard: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of one micro-batch's targets [batch, seq], from what the last stage gives."""
        words = self.config.vocab_size
        return vocab_parallel_cross_entropy(logits_shard, targets, vocab_size=words, group=self.place)


def layer_ranges(layers: int, stages: int, sizes: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """(start, stop) of each stage's layers. 7 layers in 3 stages: (0, 2), (2, 5), (5, 7).

    sizes: how many each stage has, if not those of `tplearn.planning.stage_layers`, which takes what does not divide
    off the last and the first stage: they have head and embedding besides.

    Raises ValueError for more stages than layers, and for sizes that are not one each, or not all layers together.
    """
    layers, stages = require_size("layers", layers), require_size("stages", stages)
    if stages > layers:
        raise ValueError(f"layers = {layers} cannot make {stages} stages of at least one; up to {layers} stages work")
    sizes = stage_layers(layers, stages) if sizes is None else sizes
    if len(sizes) != stages or sum(require_size("a stage's layers", size) for size in sizes) != layers:
        works = f"{stages} sizes that add up to {layers} work"
        raise ValueError(f"sizes = {shown(list(sizes))} do not cut {layers} layers into {stages} stages; {works}")
    return list(pairwise(accumulate(sizes, initial=0)))


def stages_of(
    model: Llama,
    schedule: str = "1F1B",
    group: Group = None,
    *,
    stages_per_rank: int | None = None,
    sizes: Sequence[int] | None = None,
) -> list[PipelineStage]:
    """This rank's stages of the model, for a schedule of this name over the ranks of `group`.

    model: on every rank the whole of what its tp rank has, drawn from one seed, so that all stages together are it.
    stages_per_rank: 2 in the schedules that loop, if not given. sizes: layers of each stage, see `layer_ranges`.

    Raises ValueError for an unknown schedule, more stages than layers, and tied embeddings.
    """
    from torch.distributed.pipelining import PipelineStage  # takes a second

    kind, place = kind_of(schedule), Place.of(group)
    count = place.world_size * kind.stages_per_rank(stages_per_rank)
    if count > 1 and model.lm_head.weight is model.embed_tokens.weight:
        raise ValueError(
            "tie_word_embeddings = True: the first and the last stage would each train their own copy of one table; "
            "a model with tie_word_embeddings = False works"
        )
    ranges = layer_ranges(model.config.num_hidden_layers, count, sizes)
    device = model.embed_tokens.weight.device
    return [
        PipelineStage(Part(model, *ranges[number]), number, count, device, group=place.group)
        for number in kind.stages_of(place.rank, place.world_size, stages_per_rank)
    ]
