"""What a folder's generation_config.json asks of generation: what is done here, and what is not and must be said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tplearn.llama.config import LlamaConfig
from tplearn.llama.files import CONFIG, GENERATION, model_folder, read_object, there
from tplearn.planning.fields import Fields

# What else changes every text, or only a drawn one, and the values that change nothing. All of it is transformers' own.
ALWAYS = {
    "bad_words_ids": (),
    "begin_suppress_tokens": (),
    "constraints": (),
    "dola_layers": (),
    "encoder_repetition_penalty": (1,),
    "exponential_decay_length_penalty": (),
    "force_words_ids": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "guidance_scale": (1,),
    "max_time": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "penalty_alpha": (0,),
    "sequence_bias": (),
    "stop_strings": (),
    "suppress_tokens": (),
    "token_healing": (False,),
    "watermarking_config": (),
}
DRAWN = {
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "min_p": (0,),
    "top_h": (),
    "top_k": (0,),
    "top_p": (1,),
    "typical_p": (1,),
}


@dataclass(frozen=True)
class GenerationConfig:
    """How texts end, and how often a word may come back.

    A text ends with one of `eos_token_id`; what follows in a batch is filled with `pad_token_id` (None: the first of
    those). `repetition_penalty` is Keskar et al.'s (2019). `others` keeps the rest of the file as it stands: whether
    tokens are drawn, and at what temperature, is for the caller of `generate` to say.
    """

    eos_token_id: tuple[int, ...] = ()
    pad_token_id: int | None = None
    repetition_penalty: float = 1.0
    others: dict[str, object] = field(default_factory=dict, hash=False)

    @staticmethod
    def of(config: LlamaConfig) -> GenerationConfig:
        """That of a model without a file of its own."""
        return GenerationConfig(config.eos_token_id, config.pad_token_id)

    @staticmethod
    def from_folder(folder: str | Path) -> GenerationConfig:
        """The generation_config.json of a folder; where there is none, what config.json says, as transformers has it.

        Raises ValueError, naming the file and the field that does not work.
        """
        folder = model_folder(folder)
        own = there(folder / GENERATION)
        path = folder / (GENERATION if own else CONFIG)
        fields = Fields(read_object(path), path)
        known = ("eos_token_id", "pad_token_id", "repetition_penalty")
        asked = fields.values if own else {name: fields.get(name) for name in ALWAYS | DRAWN}
        return GenerationConfig(
            fields.tokens("eos_token_id"),
            fields.token("pad_token_id"),
            fields.number("repetition_penalty", 1.0),
            {name: value for name, value in asked.items() if name not in known and value is not None},
        )

    def fields(self) -> dict[str, object]:
        """What generation_config.json holds."""
        own = {
            "eos_token_id": list(self.eos_token_id) or None,
            "pad_token_id": self.pad_token_id,
            "repetition_penalty": None if self.repetition_penalty == 1 else self.repetition_penalty,
        }
        return self.others | {name: value for name, value in own.items() if value is not None}

    def not_done(self, drawn: bool, top_p: float | None) -> list[str]:
        """What the file asks for and `generate` does not do, as "name = value"; `drawn`: tokens are drawn."""
        neutral = ALWAYS | (DRAWN if drawn else {})
        asked = {name: self.others[name] for name in neutral if name in self.others}
        if top_p is not None:  # the caller's own word
            asked.pop("top_p", None)
        return [f"{name} = {value!r}" for name, value in asked.items() if value and value not in neutral[name]]
