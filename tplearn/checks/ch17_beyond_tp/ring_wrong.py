"""Wrong answers to exercise 17.7: a ring with other sources, other masks, and another running softmax."""

import torch
import torch.distributed as dist
from torch import Tensor

PASSES = {"own chunk alone": -99, "one pass too few": -1, "one pass too many": 1}  # beside the p − 1 that are due


def wrong_ring_attention(q: Tensor, k: Tensor, v: Tensor, group: dist.ProcessGroup, wrong: str) -> Tensor:
    """Causal attention over the ring, with one thing `wrong`."""
    rank, p, shared = dist.get_rank(group), dist.get_world_size(group), q.shape[1] // k.shape[1]
    if wrong == "all gathered":
        return _gathered(q, k, v, group)
    kept = top, total, y = _nothing(q, wrong)
    travelling = [k, v, q] if wrong == "q sent too" else [k, v]
    if wrong == "heads repeated before sending":
        travelling = [x.repeat_interleave(shared, 1) for x in travelling]
    passes = max(p - 1 + PASSES.get(wrong, 0) * (p > 1), 0)
    averaged = []
    for step in range(min(passes, p - 1) + 1):
        mine = dist.get_rank() if wrong == "the world's rank" else rank
        source = mine - step
        if wrong in ("wrong source", "source one off"):
            source = rank + step if wrong == "wrong source" else rank - step - (step > 0)
        source %= p
        if step == 0 or _is_seen(source, mine, wrong):
            keys, values = (_for_each(x, q, wrong) for x in travelling[:2])
            scores = _scores(q, keys, source == mine, wrong)
            if wrong == "chunks averaged":
                averaged.append(scores.softmax(-1) @ values)
            else:
                kept = top, total, y = _added(kept, scores, values, wrong)
        if step < passes:
            arrived = [_passed(x, group, wrong) for x in travelling]
            travelling = [arrived[0], v, *arrived[2:]] if wrong == "V stays" else arrived
    if wrong == "chunks averaged":
        return torch.stack(averaged).mean(0)
    return y if wrong in ("not normalised", "normalised at each step") else y / total


def _nothing(q: Tensor, wrong: str) -> tuple[Tensor, Tensor, Tensor]:
    top = q.new_full((*q.shape[:-1], 1), 0.0 if wrong == "maximum from 0" else -torch.inf)
    return top, torch.zeros_like(top), torch.zeros_like(q)


def _gathered(q: Tensor, k: Tensor, v: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Every chunk by one all-gather, and one softmax over all that is seen."""
    rank, p, s = dist.get_rank(group), dist.get_world_size(group), q.shape[2]
    kv = torch.stack([k, v])
    chunks = [torch.empty_like(kv) for _ in range(p)]
    dist.all_gather(chunks, kv, group=group)
    keys, values = (_for_each(x, q, "") for x in torch.cat(chunks[: rank + 1], dim=3))
    scores = q @ keys.mT * q.shape[-1] ** -0.5
    later = torch.ones(s, (rank + 1) * s, dtype=torch.bool).triu(rank * s + 1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ values


def _passed(x: Tensor, group: dist.ProcessGroup, wrong: str) -> Tensor:
    """To the right neighbour; what the left one has sent."""
    rank, p, x, arrived = dist.get_rank(group), dist.get_world_size(group), x.contiguous(), torch.empty_like(x)
    if p == 1:
        return x
    prefix = "" if wrong in ("numbers of the world", "no group given") else "group_"
    own = {} if wrong == "no group given" else {"group": group}
    to, source = {f"{prefix}dst": (rank + 1) % p} | own, {f"{prefix}src": (rank - 1) % p} | own
    if wrong == "recv before send":
        dist.recv(arrived, **source)
    sending = dist.isend(x, **to)
    if wrong == "send before recv":
        sending.wait()
    dist.recv(arrived, **source)
    sending.wait()
    return arrived


def _is_seen(source: int, rank: int, wrong: str) -> bool:
    if wrong == "later chunks seen":
        return True
    return source >= rank if wrong == "later chunks alone" else source <= rank


def _for_each(x: Tensor, q: Tensor, wrong: str) -> Tensor:
    """[batch, KV heads, s, d] → one for each query head."""
    times = q.shape[1] // x.shape[1]
    return x.repeat(1, times, 1, 1) if wrong == "KV heads in turn" else x.repeat_interleave(times, 1)


def _scores(q: Tensor, keys: Tensor, own: bool, wrong: str) -> Tensor:
    d = q.shape[-1]
    scores = q @ keys.mT * {"not scaled": 1.0, "divided by d": 1 / d}.get(wrong, d**-0.5)
    if wrong != "no mask" and (own or wrong == "mask on foreign chunks"):
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(-1 if wrong == "itself not seen" else 0)
        seen[0, 0] = True  # a query that sees nothing would be NaN
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores


def _added(kept: tuple[Tensor, Tensor, Tensor], scores: Tensor, values: Tensor, wrong: str) -> tuple:
    """The running maximum, sum and output with one chunk more."""
    top, total, y = kept
    first = bool(torch.isneginf(top).all())
    new = torch.maximum(top, scores.amax(-1, keepdim=True))
    if wrong == "no maximum":
        new = torch.zeros_like(new)
    elif wrong == "maximum of the chunk alone":
        new = scores.amax(-1, keepdim=True)
    elif wrong == "maximum of the first chunk" and not first:
        new = top
    old, weights = (top - new).exp(), (scores - new).exp()
    if wrong == "rescaled the other way" and not first:
        old = (new - top).exp()
    one = torch.ones_like(old)
    of_total, of_y = {
        "no rescale": (one, one),
        "output not rescaled": (old, one),
        "sum not rescaled": (one, old),
    }.get(wrong, (old, old))
    total, y = total * of_total + weights.sum(-1, keepdim=True), y * of_y + weights @ values
    return new, total, y / total if wrong.startswith("normalised at each step") else y
