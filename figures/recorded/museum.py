"""Record what chapter 18's figures show into museum.json: `python figures/recorded/museum.py`, about a minute.

fingerprints: of every exhibit on 1, 2 and 4 ranks; what is only rounding in float64 is 0. losses: of a small Llama with
one KV head on 4 ranks, whose copies' gradients are summed, and are not.
"""

import codecs
import contextlib
import json
from pathlib import Path

import torch
from torch import Tensor

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.museum import fingerprints
from tplearn.parallel import sync_gradients

CONFIG = LlamaConfig(
    hidden_size=64,
    intermediate_size=192,
    num_hidden_layers=2,
    num_attention_heads=8,
    num_key_value_heads=1,
    vocab_size=128,
)
STEPS, BATCH, LENGTH, RATE = 60, 8, 32, 3e-3


def zen() -> Tensor:
    """The Zen of Python in windows of LENGTH + 1 characters: [windows, LENGTH + 1]."""
    with contextlib.redirect_stdout(None):
        import this
    tokens = torch.tensor(list(codecs.decode(this.s, "rot13").encode()))
    return tokens.unfold(0, LENGTH + 1, LENGTH)


def train(summed: bool, windows: Tensor, steps: int) -> list[float]:
    """The losses of so many steps; summed: whether the gradients of copies are."""
    torch.manual_seed(0)
    model = Llama(CONFIG).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    losses = []
    for step in range(steps):
        batch = windows[torch.arange(step * BATCH, (step + 1) * BATCH) % len(windows)]
        optimizer.zero_grad()
        loss = model.loss(batch[:, :-1], batch[:, 1:])
        loss.backward()
        if summed:
            sync_gradients(model)
        optimizer.step()
        losses.append(loss.item())
    return losses


def record() -> dict:
    """All that museum.json holds."""
    curves = {
        name: run_ranks(train, 4, summed, zen(), STEPS, record=False, timeout=600).values[0]
        for name, summed in (("right", True), ("copies not summed", False))
    }
    return {"losses": curves, "fingerprints": rounded(fingerprints(tps=(1, 2, 4)))}


def rounded(value: object) -> object:
    """Numbers to nine digits, and zero where they are rounding in float64; keys as JSON has them."""
    if isinstance(value, dict):
        return {str(key): rounded(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return value if value in (0.0, 1.0) else 0.0 if abs(value) < 1e-12 else float(f"{value:.9g}")
    return value


if __name__ == "__main__":
    told = record()
    prints = [f"    {json.dumps(name)}: {json.dumps(of)}" for name, of in told["fingerprints"].items()]
    losses = [f"    {json.dumps(name)}: {json.dumps(curve)}" for name, curve in told["losses"].items()]
    parts = ['  "losses": {\n' + ",\n".join(losses) + "\n  }", '  "fingerprints": {\n' + ",\n".join(prints) + "\n  }"]
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
