"""The bars of chapter 09 are the ledger's own numbers, and every setting draws, at once."""

import itertools

import pytest
import torch
import torch.distributed as dist
from matplotlib.figure import Figure

from tplearn import run_ranks
from tplearn.show.figures.ch09 import amount, logit_bytes, paint_logit_bytes
from tplearn.show.style import png_bytes
from tplearn.show.widgets.logit_bytes import TOKENS, TP, show


def _send_both(tokens: int, rows: int) -> None:
    """Gather the logits; then the three small all-reduces of the loss."""
    shard = torch.zeros(tokens, rows)
    dist.all_gather([torch.empty_like(shard) for _ in range(dist.get_world_size())], shard)
    for op in (dist.ReduceOp.MAX, dist.ReduceOp.SUM, dist.ReduceOp.SUM):
        dist.all_reduce(torch.zeros(tokens), op=op)


def test_the_bars_are_what_a_ledger_shows() -> None:
    sizes = logit_bytes(11, 6, 4)
    ledger = run_ranks(_send_both, 4, 6, 3).ledger
    assert sizes["gather"] == ledger.wire_bytes("all_gather", rank=0) == 3 * 6 * 3 * 4
    assert sizes["three"] == ledger.wire_bytes("all_reduce", rank=0) == 3 * 2 * 3 / 4 * 6 * 4
    assert (sizes["whole"], sizes["shard"]) == (6 * 11 * 4, 6 * 3 * 4)


def test_one_rank_sends_nothing() -> None:
    sizes = logit_bytes(11, 6, 1)
    assert sizes["gather"] == sizes["three"] == 0 and sizes["whole"] == sizes["shard"]


def test_the_words_say_what_the_picture_shows() -> None:
    assert show().words.value == (
        '<p role="status" style="line-height: 1.4">Llama-3.1-8B, 8,192 tokens, tp 8. Gathered: 4.2 GB of logits on '
        "every rank, and 3.7 GB sent. Cut by words: 525 MB, and 172 KB sent.</p>"
    )


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (4.2e9, "4.2 GB")])
def test_amounts_have_a_unit(size: float, text: str) -> None:
    assert amount(size) == text


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="model = 'GPT-5' is not known; models that work: Llama-3.2-1B"):
        paint_logit_bytes(Figure(), "GPT-5", 1, 1)
    with pytest.raises(ValueError, match="tp = 0 is not possible; numbers from 1 work"):
        logit_bytes(11, 1, 0)


def test_every_setting_draws_inside_its_frame() -> None:
    figure = Figure()
    for model, tokens, tp in itertools.product(("Llama-3.2-1B", "TinyLlama-1.1B"), TOKENS, TP):
        assert paint_logit_bytes(figure, model, tokens, tp)
        png_bytes(figure)
        for text in figure.axes[0].texts:
            extent = text.get_window_extent()
            assert extent.x0 >= 0 and extent.x1 <= figure.bbox.x1, f"{text.get_text()} at {model}, {tokens}, {tp}"
