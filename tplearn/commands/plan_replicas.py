"""Replicas of a model: what each holds, and how fast it answers.

With PP the batch goes round in pp groups, each a stage behind the last: a group waits for all stages, and no stage
waits for a group. So a token takes as long as one TP group would need for b / pp sequences if it held the whole model,
and the sends between the stages.
"""

import math
from dataclasses import dataclass

from tplearn.commands.plan_question import ServeQuestion
from tplearn.planning import (
    DecodeTime,
    PrefillTime,
    collective_seconds,
    decode_time,
    kv_cache_bytes_per_token,
    link_of,
    prefill_time,
    stage_layers,
)
from tplearn.planning.activations import BYTES
from tplearn.planning.training_memory import stage_parameters

FRACTION = 0.9  # of the memory for weights and KV cache: vLLM's gpu_memory_utilization


@dataclass(frozen=True)
class Room:
    """The stage of a replica that holds the fewest sequences, by bytes on one accelerator."""

    stage: int
    weight_bytes: float
    sequence_bytes: float
    """KV cache of one sequence"""
    sequences: int
    """that fit beside the weights; 0 also where the weights do not"""


@dataclass(frozen=True)
class Serving:
    """Replicas of tp · pp accelerators, each with `batch` sequences at once; `idle` accelerators are unused.

    `prefill`: one prompt of the question's length. `decode`: a token for each sequence of one of the pp groups.
    """

    tp: int
    pp: int
    replicas: int
    idle: int
    batch: int
    room: Room
    prefill: PrefillTime
    decode: DecodeTime
    prefill_sends: float
    decode_sends: float
    sequences: int
    """over all replicas"""

    @property
    def gpus(self) -> int:
        """That it uses."""
        return self.tp * self.pp * self.replicas

    @property
    def first_token_seconds(self) -> float:
        """From a prompt to its first token, with nothing in the way."""
        return self.prefill.total + self.prefill_sends

    @property
    def token_seconds(self) -> float:
        """Between two tokens of a sequence."""
        return self.decode.total + self.decode_sends

    @property
    def tokens_per_second(self) -> float:
        """Of all replicas, while they decode."""
        return self.sequences / self.token_seconds

    @property
    def gpu_seconds_per_token(self) -> float:
        """What a token costs."""
        return self.gpus / self.tokens_per_second

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of a decode step by part; of reading the weights and computing only the longer counts."""
        one = self.decode
        work = {"compute": one.compute} if one.compute > one.weights else {"weights": one.weights}
        parts = {"kv_cache": one.kv_cache, "layers": one.layers, "collectives": one.collectives}
        return work | parts | {"pipeline_sends": self.decode_sends}


def room_of(question: ServeQuestion, tp: int, pp: int) -> Room:
    """What the tightest stage holds."""
    shape, layers = question.shape, stage_layers(question.shape.num_hidden_layers, pp)
    limit, a_layer = (
        FRACTION * question.accelerator.memory,
        kv_cache_bytes_per_token(shape, tp) // shape.num_hidden_layers,
    )
    rooms = []
    for stage in sorted({0, min(1, pp - 1), pp - 1}):
        weights = stage_parameters(shape, tp, pp, stage) * question.bytes_per_parameter
        each = question.sequence * a_layer * layers[stage]
        rooms.append(Room(stage, weights, each, max(0, int((limit - weights) // each))))
    return min(rooms, key=lambda room: room.sequences)


def serving(question: ServeQuestion, tp: int, pp: int, replicas: int) -> Serving:
    """The times of so many replicas, full or with their share of the sequences that were asked for."""
    shape, accelerator, room = question.shape, question.accelerator, room_of(question, tp, pp)
    batch = room.sequences if question.sequences is None else math.ceil(question.sequences / replicas)
    group = math.ceil(batch / pp)
    link, sends = link_of(accelerator, 2, tp), pp - 1

    def send(tokens: int) -> float:
        return sends * collective_seconds("send", BYTES * tokens * shape.hidden_size, 2, link)

    return Serving(
        tp,
        pp,
        replicas,
        question.gpus - tp * pp * replicas,
        batch,
        room,
        prefill_time(shape, accelerator, tp, 1, question.sequence),
        decode_time(shape, accelerator, tp, group, question.sequence, question.bytes_per_parameter),
        send(question.sequence),
        send(group),
        sequences=replicas * batch if question.sequences is None else question.sequences,
    )
