"""What `tplearn verify` shows: a table of its verdicts, and for each mesh a picture of what each rank holds."""

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tplearn.commands.verify import Holding, Verdict

WIDTH = 100  # columns that the table needs


def show(verdicts: list[Verdict], console: Console) -> None:
    """Print everything."""
    console.width = max(console.width, WIDTH)
    shape = " × ".join(map(str, verdicts[0].shape))
    columns = ("mesh", "max |Δlogit|", "PCC", "top-1", "top-100", "load s", "forward s", "a rank's weights", "verdict")
    table = Table(*columns, title=f"logits of {shape} (batch × sequence × vocabulary), against one rank")
    for verdict in verdicts:
        judged, (batch, model) = verdict.agreement, verdict.mesh
        table.add_row(
            f"{batch} × {model}",
            f"{judged.max_difference:.1e}",
            f"{judged.pcc:.9f}",
            f"{judged.top_1:.1%}",
            f"{judged.top_100:.1%}",
            f"{verdict.load_seconds:.2f}",
            f"{verdict.forward_seconds:.3f}",
            decimal(max(holding.weight_bytes for holding in verdict.holdings)),
            "same" if judged.close else "DIFFERENT",
        )
    console.print(table)
    for verdict in verdicts:
        console.print(picture(verdict))


def picture(verdict: Verdict) -> Table:
    """A cell for each rank: a row holds the same part of the model, a column computes the same texts."""
    batch, model = verdict.mesh
    table = Table(title=f"mesh {batch} × {model}: what each rank holds", title_justify="left")
    table.add_column("part of the model")
    for row in range(batch):
        table.add_column(f"text {span(verdict.holdings[row * model].texts)}")
    for column in range(model):
        ranks = verdict.holdings[column::model]
        table.add_row(_part(ranks[0]), *(f"rank {holding.rank}" for holding in ranks))
    return table


def _part(holding: Holding) -> str:
    heads, kv = span(holding.heads), span(holding.kv_heads)
    return f"heads {heads}, KV {kv}, ffn {span(holding.columns)}, words {span(holding.words)}"


def span(ends: tuple[int, int]) -> str:
    """(0, 4) → "0–3"."""
    start, stop = ends
    return "none" if stop <= start else f"{start}" if stop == start + 1 else f"{start}–{stop - 1}"
