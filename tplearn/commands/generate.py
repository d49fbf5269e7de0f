"""`tplearn generate`: text from a Hugging Face folder, on any number of ranks."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.filesize import decimal

from tplearn.commands.group import on_ranks, own_device, synchronize
from tplearn.commands.progress import progress, terminal
from tplearn.llama import Llama, LlamaConfig, generate, lay_out_for_decoding, load_tokenizer

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

    def summary(self) -> str:
        """One line."""
        speed = f"first after {self.first_seconds * 1000:.0f} ms, then {self.token_seconds * 1000:.1f} ms each"
        return f"{self.new_tokens} tokens: {speed}; weights of a rank: {decimal(self.weight_bytes)}"


@dataclass(frozen=True)
class Request:
    """What to write, and how; names as in tplearn.llama.generate."""

    prompt: str
    max_new_tokens: int = 64
    temperature: float | None = None
    top_p: float = 1.0
    seed: int = 0


def generate_text(folder: Path, request: Request, tp: int | None, dtype: str, device: str) -> Answer:
    """The prompt and what follows it. Raises ValueError where the folder, the prompt or tp does not work."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype = {dtype!r} does not exist; values that work: {', '.join(DTYPES)}")
    config = LlamaConfig.from_folder(folder)
    tokens = load_tokenizer(folder).encode(request.prompt).ids
    if not tokens:
        tokens = [config.bos_token_id or 0]
    return on_ranks(_on_ranks, tp, device, folder, request, tokens, DTYPES[dtype], terminal())


def _on_ranks(folder: Path, request: Request, tokens: list[int], dtype: torch.dtype, screen: str | None) -> Answer:
    device = own_device()
    model = Llama.from_pretrained(folder, dtype=dtype, device=device)
    lay_out_for_decoding(model)
    tokenizer = load_tokenizer(folder)
    times = [time.perf_counter()]
    with progress("generating", request.max_new_tokens, screen, lines=False) as show:

        def count(_: torch.Tensor) -> None:
            synchronize()
            times.append(time.perf_counter())
            show(len(times) - 1, "")

        text = generate(
            model,
            torch.tensor([tokens], device=device),
            request.max_new_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            on_token=count,
        )
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    return Answer(
        text=tokenizer.decode(text[0].tolist()),
        new_tokens=len(steps),
        first_seconds=steps[0],
        token_seconds=sum(steps[1:]) / max(1, len(steps) - 1),
        weight_bytes=sum(parameter.nbytes for parameter in model.parameters()),
    )
