"""Wrong answers to exercise 13.2: tokens counted for the wrong ranks, and seconds that are not those of a step."""

from statistics import median

EARLIER_OR_LATER = {  # which steps count
    "warm-up counted": lambda warmup: slice(None),
    "every rank, warm-up counted": lambda warmup: slice(None),
    "no accumulation, warm-up counted": lambda warmup: slice(None),
    "one warm-up step counted": lambda warmup: slice(warmup - 1, None),
    "one step too few": lambda warmup: slice(warmup + 1, None),
    "first step alone left out": lambda warmup: slice(1, None),
    "last steps left out": lambda warmup: slice(None, -warmup),
    "warm-up alone": lambda warmup: slice(warmup),
    "last step": lambda warmup: slice(-1, None),
}


def wrong_tokens_per_second(
    world_size: int,
    tp: int,
    local_batch: int,
    accumulation: int,
    seq: int,
    seconds: list[float],
    warmup: int,
    wrong: str,
) -> float:
    """Tokens a second, with one thing `wrong`."""
    dp, measured = world_size // tp, seconds[warmup:]
    rows = {
        "every rank counted": world_size,
        "every rank, warm-up counted": world_size,
        "one row": 1,
        "tp for dp": tp,
        "one rank's share": dp / tp,
        "divided by all ranks": 1 / tp,
    }.get(wrong, dp)
    micro_batches = {
        "no accumulation": 1,
        "no accumulation, warm-up counted": 1,
        "accumulation divided": 1 / accumulation,
    }.get(wrong, accumulation)
    length = {"windows of seq + 1": seq + 1, "seq − 1 targets": seq - 1, "windows a second": 1}.get(wrong, seq)
    tokens = rows * micro_batches * (1 if wrong == "batch forgotten" else local_batch) * length
    if wrong in EARLIER_OR_LATER:
        measured = seconds[EARLIER_OR_LATER[wrong](warmup)]
    steps = len(measured)
    if wrong == "warm-up's seconds counted":
        return tokens * steps / sum(seconds)
    if wrong == "warm-up's tokens counted":
        return tokens * len(seconds) / sum(measured)
    if wrong == "mean of the steps' rates":
        return sum(tokens / t for t in measured) / steps
    if wrong == "median step":
        return tokens / median(measured)
    if wrong == "slowest step":
        return tokens / max(measured)
    if wrong == "fastest step":
        return tokens / min(measured)
    if wrong == "one step's tokens":
        return tokens / sum(measured)
    if wrong == "rounded down":
        return tokens * steps // sum(measured)
    if wrong == "seconds a token":
        return sum(measured) / (tokens * steps)
    if wrong == "tokens a step":
        return float(tokens)
    return tokens * steps / sum(measured)
