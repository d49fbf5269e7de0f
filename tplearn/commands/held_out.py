"""How well a run's model knows the texts that were held out, and what a plain compressor makes of them."""

import lzma
from dataclasses import dataclass

from tokenizers import Tokenizer
from torch import Tensor

from tplearn.llama.corpus import token_stream
from tplearn.llama.evaluate import bits_per_byte
from tplearn.llama.train import Trainer


@dataclass(frozen=True)
class HeldOut:
    """Texts, each as tokens from its own start, and how many bytes they are."""

    streams: list[Tensor]
    bytes_of_text: int

    @staticmethod
    def of(texts: list[str], words: Tokenizer) -> "HeldOut":
        return HeldOut([token_stream(words, [text]) for text in texts], sum(len(text.encode()) for text in texts))

    def bits(self, trainer: Trainer) -> float:
        """Bits a byte, the same on every rank; every rank must call it."""
        device = next(trainer.model.parameters()).device
        streams, recipe = [stream.to(device) for stream in self.streams], trainer.recipe
        with trainer.engine.looking():
            return bits_per_byte(trainer.model, streams, self.bytes_of_text, recipe.length, recipe.batch, trainer.dp)


def xz_bits(texts: list[str]) -> float:
    """What `xz -9e` needs for each byte, each text compressed alone."""
    packed = sum(len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in texts)
    return 8 * packed / sum(len(text.encode()) for text in texts)
