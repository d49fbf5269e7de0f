"""`tplearn generate`: text from a Hugging Face folder, on any number of ranks."""

import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.filesize import decimal
from tokenizers import Tokenizer

from tplearn.commands.group import number_of_ranks, on_ranks, own_device, require_device, synchronize
from tplearn.commands.options import require, require_cut, require_seed
from tplearn.commands.progress import progress, terminal
from tplearn.llama import GenerationConfig, Llama, LlamaConfig, generate, lay_out_for_decoding, load_tokenizer
from tplearn.llama.files import GENERATION, TOKENIZER
from tplearn.llama.loading import examine

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


@dataclass(frozen=True)
class Answer:
    """What generate_text returns; seconds are rank 0's."""

    text: str
    new_tokens: int
    first_seconds: float
    """until the first new token: the prompt's own computation"""
    token_seconds: float
    """for each token after it"""
    weight_bytes: int
    """of a rank's own weights"""
    not_done: tuple[str, ...]
    """what generation_config.json asks for in vain"""

    def summary(self) -> str:
        """One line, and another where there is something to be told."""
        speed = f"first after {self.first_seconds * 1000:.0f} ms, then {self.token_seconds * 1000:.1f} ms each"
        line = f"{self.new_tokens} tokens: {speed}; weights of a rank: {decimal(self.weight_bytes)}"
        if self.not_done:
            line += f"\n{GENERATION} asks for {', '.join(self.not_done)}, which is not done here"
        return line


@dataclass(frozen=True)
class Request:
    """What to write, and how: the options of the command. Raises ValueError in their words."""

    prompt: str
    tokens: int = 64
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        require("tokens", self.tokens, self.tokens >= 1, "numbers from 1 work")
        drawn = self.temperature is not None
        if drawn:
            greedy = "numbers above 0 work; without --temperature the likeliest token is taken each time (greedy)"
            require("temperature", self.temperature, 0 < self.temperature < math.inf, greedy)
        if self.top_p is not None:
            require("top-p", self.top_p, drawn, "tokens are drawn with --temperature only; --temperature 1 works")
            require("top-p", self.top_p, 0 < self.top_p <= 1, "numbers above 0 up to 1 work")
        if self.seed is not None:
            require("seed", self.seed, drawn, "tokens are drawn with --temperature only; --temperature 1 works")
            require_seed(self.seed)


def generate_text(folder: Path, request: Request, tp: int | None, dtype: str, device: str) -> Answer:
    """The prompt and what follows it. Raises ValueError, before a rank starts, for whatever cannot work."""
    require("dtype", dtype, dtype in DTYPES, f"values that work: {', '.join(DTYPES)}")
    require_device(device)
    ranks = number_of_ranks(tp, "tp")
    config, tokenizer = examine(folder), load_tokenizer(folder)
    require_cut(config, ranks, f"--tp {tp}" if tp else "torchrun")
    tokens = _encode(request, tokenizer, config, folder)
    ids, seconds, weight_bytes = on_ranks(_on_ranks, ranks, device, folder, request, tokens, DTYPES[dtype], terminal())
    not_done = GenerationConfig.from_folder(folder).not_done(request.temperature is not None, request.top_p)
    return Answer(
        text=tokenizer.decode(ids),
        new_tokens=len(seconds),
        first_seconds=seconds[0],
        token_seconds=sum(seconds[1:]) / max(1, len(seconds) - 1),
        weight_bytes=weight_bytes,
        not_done=tuple(not_done),
    )


def _encode(request: Request, tokenizer: Tokenizer, config: LlamaConfig, folder: Path) -> list[int]:
    """The tokens of the prompt, at least one. Raises ValueError where they are too many, or not the model's."""
    try:
        request.prompt.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the prompt {request.prompt!r} is not UTF-8 text; text in UTF-8 works") from None
    tokens = tokenizer.encode(request.prompt).ids or [config.bos_token_id or 0]
    if max(tokens) >= config.vocab_size:
        raise ValueError(
            f"{folder / TOKENIZER} has the token {max(tokens)}, and the model's vocab_size is {config.vocab_size}; "
            "the tokenizer that belongs to the model works"
        )
    room = config.max_length - len(tokens)
    if room < 1:
        raise ValueError(
            f"the prompt has {len(tokens)} tokens, and the model allows {config.limit}; a shorter one works"
        )
    said = f"the prompt has {len(tokens)} tokens, and the model allows {config.limit} together; up to {room} work"
    require("tokens", request.tokens, request.tokens <= room, said)
    return tokens


def _on_ranks(
    folder: Path, request: Request, tokens: list[int], dtype: torch.dtype, screen: str | None
) -> tuple[list[int], list[float], int]:
    """The whole text in tokens, the seconds of each new one, and the bytes of this rank's weights."""
    device = own_device()
    model = Llama.from_pretrained(folder, dtype=dtype, device=device)
    lay_out_for_decoding(model)
    times = [time.perf_counter()]
    with progress("generating", request.tokens, screen, lines=False) as show, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the command says it, once

        def count(_: torch.Tensor) -> None:
            synchronize()
            times.append(time.perf_counter())
            show(len(times) - 1, "")

        text = generate(
            model,
            torch.tensor([tokens], device=device),
            request.tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed or 0,
            on_token=count,
        )
    seconds = [after - before for before, after in zip(times, times[1:], strict=False)]
    return text[0].tolist(), seconds, sum(parameter.nbytes for parameter in model.parameters())
