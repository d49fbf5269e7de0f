"""Chapter 12: a rank's own bytes, rotary layouts, long texts, writing and agreeing, other numbers of ranks."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Generator, Tensor
from torch.nn.functional import pad

from tplearn.checks import Case
from tplearn.checks.ch12_real_weights.drive import random_model
from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.llama import Llama
from tplearn.parallel import KVCache, head_range, vocab_range

Sizes = tuple[int, int, int]
Shards = list[Tensor]

# 12.1: read_shard(file, parameter, sizes, rank, world_size)

FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def by_hand(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    """Without head_range and vocab_range."""
    heads, kv_heads, d = sizes
    if parameter in FUSED:
        runs = []
        for name in FUSED[parameter]:
            rows = file.get_slice(name).get_shape()[0]
            if name in ("k_proj", "v_proj") and p > kv_heads:
                head = rank // (p // kv_heads)
                runs.append(file.get_slice(name)[head * d : head * d + d])
            else:
                runs.append(file.get_slice(name)[rank * rows // p : (rank + 1) * rows // p])
        return torch.vstack(runs)
    total = file.get_slice(parameter).get_shape()
    if parameter == "embed_tokens":
        rows = math.ceil(total[0] / p)
        table = torch.zeros(rows, total[1], dtype=torch.float64)
        own = file.get_slice(parameter)[rank * rows : (rank + 1) * rows]
        table[: len(own)] = own
        return table
    columns = total[1] // p
    return file.get_slice(parameter)[:, rank * columns : columns * (rank + 1)]


def row_by_row(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    """A read for each head, and for each word."""
    heads, kv_heads, d = sizes
    own = head_range(heads, kv_heads, rank, p)
    if parameter == "qkv_proj":
        numbered = [("q_proj", range(*own.queries)), ("k_proj", range(*own.keys)), ("v_proj", range(*own.keys))]
        return torch.cat([file.get_slice(name)[h * d : h * d + d] for name, found in numbered for h in found])
    if parameter == "embed_tokens":
        words = file.get_slice(parameter)
        total, width = words.get_shape()
        start, stop, rows = vocab_range(total, rank, p)
        zeros = [torch.zeros(rows - (stop - start), width, dtype=torch.float64)]
        return torch.cat([words[w : w + 1] for w in range(start, stop)] + zeros)
    return by_hand(file, parameter, sizes, rank, p)


def one_table(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    """{parameter: (tensor, dim, start, stop)}."""
    own, d = head_range(*sizes[:2], rank, p), sizes[2]
    queries, keys = (tuple(n * d for n in run) for run in (own.queries, own.keys))
    inner = file.get_slice("gate_proj").get_shape()[0] // p
    columns = (rank * inner, rank * inner + inner)
    start, stop, rows = vocab_range(file.get_slice("embed_tokens").get_shape()[0], rank, p)
    runs = {
        "qkv_proj": [("q_proj", 0, *queries), ("k_proj", 0, *keys), ("v_proj", 0, *keys)],
        "gate_up_proj": [("gate_proj", 0, *columns), ("up_proj", 0, *columns)],
        "o_proj": [("o_proj", 1, *queries)],
        "down_proj": [("down_proj", 1, *columns)],
        "embed_tokens": [("embed_tokens", 0, start, stop)],
    }[parameter]
    read = [file.get_slice(n)[(slice(None),) * dim + (slice(a, b),)] for n, dim, a, b in runs]
    filled = rows - (stop - start) if parameter == "embed_tokens" else 0
    return pad(torch.cat(read), (0, 0, 0, filled))


def all_then_slice(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    names = FUSED.get(parameter, (parameter,))
    return by_hand(CountingFile({n: file.get_tensor(n) for n in names}), parameter, sizes, rank, p)


def no_copies(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    return by_hand(file, parameter, (sizes[0], 10**6, sizes[2]), rank, p)


def no_padding(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    shard = by_hand(file, parameter, sizes, rank, p)
    return shard[shard.any(1)] if parameter == "embed_tokens" else shard


def rank_0(file: CountingFile, parameter: str, sizes: Sizes, rank: int, p: int) -> Tensor:
    return by_hand(file, parameter, sizes, 0, p)


# 12.2: to_hugging_face_rotary(shard, head_dim, rotary_dim)


def by_strides(shard: Tensor, d: int, rotary: int) -> Tensor:
    heads = shard.view(-1, d, *shard.shape[1:])
    return torch.cat([heads[:, 0:rotary:2], heads[:, 1:rotary:2], heads[:, rotary:]], 1).reshape(shard.shape)


def by_index(shard: Tensor, d: int, rotary: int) -> Tensor:
    order = torch.cat([torch.arange(rotary).view(-1, 2).T.flatten(), torch.arange(rotary, d)])
    rows = torch.arange(0, len(shard), d)[:, None] + order
    return shard[rows.flatten()]


def head_by_head(shard: Tensor, d: int, rotary: int) -> Tensor:
    parts = []
    for head in shard.split(d):
        pairs = head[:rotary].unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)
        parts += [pairs, head[rotary:]]
    return torch.cat(parts)


def whole_heads(shard: Tensor, d: int, rotary: int) -> Tensor:
    return shard.unflatten(0, (-1, d // 2, 2)).transpose(1, 2).flatten(0, 2)


def one_head(shard: Tensor, d: int, rotary: int) -> Tensor:
    return torch.cat([shard[0:rotary:2], shard[1:rotary:2], shard[rotary:]])


def weights_only(shard: Tensor, d: int, rotary: int) -> Tensor:
    return by_strides(shard.view(-1, shard.shape[1]), d, rotary) if shard.ndim == 2 else shard


def other_way(shard: Tensor, d: int, rotary: int) -> Tensor:
    order = torch.cat([torch.arange(rotary).view(2, -1).T.flatten(), torch.arange(rotary, d)])
    return shard.unflatten(0, (-1, d))[:, order].flatten(0, 1)


# 12.3: llama3_frequencies(plain, factor, low, high, trained)


def three_cases(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    turns = plain * trained / math.tau
    share = (turns - low) / (high - low)
    middle = share * plain + (1 - share) * plain / factor
    return torch.where(turns > high, plain, torch.where(turns < low, plain / factor, middle))


def by_wavelength(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    """As transformers does."""
    wavelength = 2 * math.pi / plain
    scaled = torch.where(wavelength > trained / low, plain / factor, plain)
    share = (trained / wavelength - low) / (high - low)
    smooth = (1 - share) * scaled / factor + share * scaled
    between = ~(wavelength < trained / high) * ~(wavelength > trained / low)
    return torch.where(between, smooth, scaled)


def one_by_one(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    found = []
    for f in plain.tolist():
        share = min(1.0, max(0.0, (trained * f / (2 * math.pi) - low) / (high - low)))
        found.append(share * f + (1 - share) * f / factor)
    return torch.tensor(found, dtype=plain.dtype)


def without_ramp(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return torch.where(trained * plain / math.tau >= low, plain, plain / factor)


def all_divided(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return plain / factor


def numbers_of_llama(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return three_cases(plain, 8.0, 1.0, 4.0, 8192)


def in_float32(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return three_cases(plain.float(), factor, low, high, trained).double()


# 12.4: greedy_decode(model, input_ids, new_tokens, eos)


def with_a_list(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    caches = [KVCache(64) for _ in range(len(model.layers))]
    written: list[Tensor] = []
    while len(written) < new_tokens and not (written and (torch.stack(written) == eos).any(0).all()):
        given = ids if not written else written[-1][:, None]
        best = model(given, caches, last=True).argmax(-1)[:, -1]
        if written:
            best = torch.where((torch.stack(written) == eos).any(0), eos, best)
        written.append(best)
    return torch.cat([ids, torch.stack(written, 1)], 1)


def text_by_text(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    """One mask of texts that go on; the model's last position by hand."""
    caches, text = [KVCache(ids.shape[1] + new_tokens) for _ in model.layers], ids.clone()
    goes_on = torch.ones(len(ids), dtype=torch.bool)
    start = 0
    for _ in range(new_tokens):
        best = model(text[:, start:], caches, last=True).squeeze(1).max(-1).indices
        start = text.shape[1]
        new = torch.full_like(best, eos)
        new[goes_on] = best[goes_on]
        text = torch.cat([text, new.unsqueeze(1)], 1)
        goes_on &= new != eos
        if not goes_on.any():
            return text
    return text


def filled_table(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    """A table of eos, filled column by column."""
    prompt = ids.shape[1]
    table = torch.full((len(ids), prompt + new_tokens), eos)
    table[:, :prompt] = ids
    caches, ended = [KVCache(table.shape[1]) for _ in model.layers], torch.zeros(len(ids), dtype=torch.bool)
    for t in range(prompt, table.shape[1]):
        before = 0 if t == prompt else t - 1
        best = model(table[:, before:t], caches, last=True)[:, 0].topk(1).indices[:, 0]
        table[~ended, t] = best[~ended]
        ended |= best == eos
        if ended.all():
            return table[:, : t + 1]
    return table


def without_cache(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    ended = torch.zeros(len(ids), 1, dtype=torch.bool)
    for _ in range(new_tokens):
        new = model(ids, last=True)[:, -1].argmax(-1, keepdim=True).masked_fill(ended, eos)
        ids, ended = torch.cat([ids, new], 1), ended | (new == eos)
        if ended.all():
            break
    return ids


def never_stops(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    return with_a_list(model, ids, new_tokens, -1)


def one_text_only(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    return torch.cat([with_a_list(model, ids[:1], new_tokens, eos)] * len(ids))


def own_words(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    caches, text, new = [KVCache(64) for _ in model.layers], ids, ids
    for _ in range(new_tokens):
        new = model.lm_head(model.hidden(new, caches)[:, -1]).argmax(-1, keepdim=True) + model.embed_tokens.start
        text = torch.cat([text, new], 1)
    return text


def asks_each_step(model: Llama, ids: Tensor, new_tokens: int, eos: int) -> Tensor:
    caches, text, new = [KVCache(64) for _ in model.layers], ids, ids
    ended = torch.zeros(len(ids), 1, dtype=torch.bool)
    for _ in range(new_tokens):
        new = model(new, caches, last=True)[:, -1].argmax(-1, keepdim=True).masked_fill(ended, eos)
        dist.broadcast(new, src=0)
        text, ended = torch.cat([text, new], 1), ended | (new == eos)
        if ended.all():
            break
    return text


# 12.5: agree_on_tokens(logits, temperature, generator)


def drawn(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0].contiguous()


def only_rank_0_draws(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    tokens = torch.zeros(len(logits), dtype=torch.int64)
    if dist.get_rank() == 0:
        tokens = drawn(logits, temperature, generator)
    dist.broadcast(tokens, src=0, async_op=True).wait()
    return tokens


def functional(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    tokens = drawn(logits, temperature, generator)
    return funcol.wait_tensor(funcol.broadcast(tokens, 0, dist.group.WORLD))


def passed_on(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """Down the row of ranks."""
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    tokens = drawn(logits, temperature, generator)
    if rank > 0:
        dist.recv(tokens, src=rank - 1)
    if rank < last:
        dist.send(tokens, dst=rank + 1)
    return tokens


def early_return(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    weights = logits.div(temperature).log_softmax(-1).exp()
    tokens = weights.multinomial(1, generator=generator).flatten()
    if dist.get_world_size() > 1:
        dist.broadcast(tokens, 0)
    return torch.stack(list(tokens))


def each_for_itself(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return drawn(logits, temperature, generator)


def sent_and_not_used(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    tokens = drawn(logits, temperature, generator)
    dist.broadcast(tokens.clone(), src=0)
    return tokens


def common_seed(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return drawn(logits, temperature, Generator().manual_seed(0))


def greedy(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    return logits.argmax(-1)


def state_sent(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    state = generator.get_state()
    dist.broadcast(state, src=0)
    generator.set_state(state)
    return drawn(logits, temperature, generator)


# 12.6: reshard(qkv_shards, word_shards, sizes, vocab_size, world_size)


def rank_of_kv(rank: int, p: int, kv_heads: int) -> range:
    """The KV heads of a rank."""
    return range(rank * kv_heads // p, max((rank + 1) * kv_heads // p, rank * kv_heads // p + 1))


def head_lists(qkv: Shards, sizes: Sizes) -> tuple[list[Tensor], dict[int, Tensor], dict[int, Tensor]]:
    """Every head by itself."""
    (heads, kv_heads, d), old = sizes, len(qkv)
    queries: list[Tensor] = []
    keys: dict[int, Tensor] = {}
    values: dict[int, Tensor] = {}
    for rank, shard in enumerate(qkv):
        single = list(shard.split(d))
        kv = rank_of_kv(rank, old, kv_heads)
        queries += single[: heads // old]
        keys |= dict(zip(kv, single[heads // old :], strict=False))
        values |= dict(zip(kv, single[heads // old + len(kv) :], strict=False))
    return queries, keys, values


def by_heads(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    queries, keys, values = head_lists(qkv, sizes)
    own, new = sizes[0] // p, []
    for rank in range(p):
        kv = rank_of_kv(rank, p, sizes[1])
        mine = [*queries[rank * own : (rank + 1) * own], *(keys[h] for h in kv), *(values[h] for h in kv)]
        new.append(torch.cat(mine))
    rows = -(-vocab_size // p)
    table = torch.zeros(rows * p, words[0].shape[1], dtype=words[0].dtype)
    table[:vocab_size] = torch.cat(words)[:vocab_size]
    return [new, list(table.split(rows))]


def as_tuples(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> tuple:
    new_qkv, new_words = by_heads(qkv, words, sizes, vocab_size, p)
    return tuple(new_qkv), tuple(word.clone() for word in new_words)


def mean_of_copies(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    """The mean of equal copies is one of them."""
    (_, kv_heads, d), old = sizes, len(qkv)
    copies = max(1, old // kv_heads)
    rows = max(1, kv_heads // old) * d
    parts = [torch.cat(part) for part in zip(*(s.split([len(s) - 2 * rows, rows, rows]) for s in qkv), strict=True)]
    q, k, v = parts[0], *(part.view(-1, copies, rows, part.shape[1]).mean(1).flatten(0, 1) for part in parts[1:])
    new_copies = max(1, p // kv_heads)
    k, v = (t.view(kv_heads, d, -1).repeat_interleave(new_copies, 0).flatten(0, 1) for t in (k, v))
    cut = zip(*(t.chunk(p) for t in (q, k, v)), strict=True)
    return [[torch.cat(own) for own in cut], by_heads(qkv, words, sizes, vocab_size, p)[1]]


def split_and_joined(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    return [list(torch.cat(shards).tensor_split(p)) for shards in (qkv, words)]


def all_copies_kept(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    (_, kv_heads, d), old = sizes, len(qkv)
    rows = max(1, kv_heads // old) * d
    parts = [torch.cat(part) for part in zip(*(s.split([len(s) - 2 * rows, rows, rows]) for s in qkv), strict=True)]
    cut = zip(*(part.tensor_split(p) for part in parts), strict=True)
    return [[torch.cat(own) for own in cut], by_heads(qkv, words, sizes, vocab_size, p)[1]]


def padding_kept(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    rows = -(-vocab_size // p)
    joined = pad(torch.cat(words), (0, 0, 0, rows * p))
    return [by_heads(qkv, words, sizes, vocab_size, p)[0], list(joined[: rows * p].split(rows))]


def no_padding_anew(qkv: Shards, words: Shards, sizes: Sizes, vocab_size: int, p: int) -> list[Shards]:
    found = by_heads(qkv, words, sizes, vocab_size, p)
    return [found[0], [shard[shard.any(1)] for shard in found[1]]]


LAZY: dict[str, dict[str, Callable]] = {
    "read_shard": {
        "load all, then slice": all_then_slice,
        "no copies of KV heads": no_copies,
        "no padding": no_padding,
        "rank 0's": rank_0,
    },
    "to_hugging_face_rotary": {
        "as it is": lambda shard, d, rotary: shard.clone(),
        "whole heads": whole_heads,
        "one head": one_head,
        "weights only": weights_only,
        "the other way": other_way,
    },
    "llama3_frequencies": {
        "without the ramp": without_ramp,
        "all divided": all_divided,
        "Llama 3.1's own numbers": numbers_of_llama,
        "in float32": in_float32,
    },
    "greedy_decode": {
        "without a cache": without_cache,
        "never stops": never_stops,
        "one text only": one_text_only,
        "own words": own_words,
        "a message in each step": asks_each_step,
    },
    "agree_on_tokens": {
        "each for itself": each_for_itself,
        "sent and not used": sent_and_not_used,
        "a common seed": common_seed,
        "greedy": greedy,
        "the generator's state sent": state_sent,
        "no batch of one": lambda *args: only_rank_0_draws(*args).squeeze(),
        "int32": lambda *args: only_rank_0_draws(*args).int(),
    },
    "reshard": {
        "split and joined": split_and_joined,
        "all copies kept": all_copies_kept,
        "old padding kept": padding_kept,
        "no padding anew": no_padding_anew,
        "as many ranks as before": lambda qkv, words, *rest: (
            [qkv, words] if rest[-1] == len(qkv) else by_heads(qkv, words, *rest)
        ),
    },
}

RIGHT: dict[str, dict[str, Callable]] = {
    "read_shard": {"by hand": by_hand, "row by row": row_by_row, "one table": one_table},
    "to_hugging_face_rotary": {"strides": by_strides, "index": by_index, "head by head": head_by_head},
    "llama3_frequencies": {
        "three cases": three_cases,
        "by wavelength": by_wavelength,
        "one by one": one_by_one,
    },
    "greedy_decode": {"a list": with_a_list, "a mask": text_by_text, "a table": filled_table},
    "agree_on_tokens": {
        "only rank 0 draws": only_rank_0_draws,
        "functional": functional,
        "passed on": passed_on,
        "early return": early_return,
    },
    "reshard": {"by heads": by_heads, "tuples": as_tuples, "mean of the copies": mean_of_copies},
}


def sliced(case: Case) -> dict:
    """Rows and columns of the whole tensors; bytes from their sizes."""
    tensors, (heads, kv_heads, d) = case.args
    shards, read = [], []
    for rank in range(case.tp):
        kv = rank_of_kv(rank, case.tp, kv_heads)
        of_kv = [tensors[name].view(kv_heads, d, -1)[list(kv)].flatten(0, 1) for name in ("k_proj", "v_proj")]
        words = tensors["embed_tokens"]
        rows = -(-len(words) // case.tp)
        table = torch.cat([words, words.new_zeros(rows * case.tp - len(words), words.shape[1])])
        own = {
            "qkv_proj": torch.cat([tensors["q_proj"].chunk(case.tp)[rank], *of_kv]),
            "o_proj": tensors["o_proj"].chunk(case.tp, 1)[rank],
            "gate_up_proj": torch.cat([tensors[name].chunk(case.tp)[rank] for name in ("gate_proj", "up_proj")]),
            "down_proj": tensors["down_proj"].chunk(case.tp, 1)[rank],
            "embed_tokens": table.split(rows)[rank],
        }
        shards.append(own)
        here = min(rows, max(0, len(words) - rank * rows))
        read.append({n: t.numel() * 8 for n, t in own.items()} | {"embed_tokens": here * words.shape[1] * 8})
    return {"forward": shards, "bytes read": read}


def turned_rows(case: Case) -> dict:
    shards, d, rotary = case.args
    found = []
    for shard in shards.values:
        new = shard.clone()
        for head in range(0, len(shard), d):
            for i in range(rotary // 2):
                new[head + i], new[head + i + rotary // 2] = shard[head + 2 * i], shard[head + 2 * i + 1]
        found.append(new)
    return {"forward": found}


def long_texts(case: Case) -> dict:
    plain, factor, low, high, trained = case.args
    found = []
    for f in plain.tolist():
        turns = trained * f / (2 * math.pi)
        if turns > high:
            found.append(f)
        elif turns < low:
            found.append(f / factor)
        else:
            share = (turns - low) / (high - low)
            found.append(share * f + (1 - share) * f / factor)
    return {"forward": [torch.tensor(found, dtype=torch.float64)] * case.tp}


@torch.inference_mode()
def written_alone(case: Case) -> dict:
    """One rank, each text by itself, no cache; then filled up."""
    ids, new_tokens, eos, seed = case.args
    model, texts = random_model(seed), []
    for prompt in ids.tolist():
        text = list(prompt)
        while len(text) < len(prompt) + new_tokens and eos not in text[len(prompt) :]:
            text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
        texts.append(text)
    longest = max(map(len, texts))
    filled = torch.tensor([text + [eos] * (longest - len(text)) for text in texts])
    return {"forward": [filled] * case.tp}


def luck_of_rank_0(case: Case) -> dict:
    logits, temperature, seed = case.args
    luck = Generator().manual_seed(seed)
    probabilities = torch.exp(logits / temperature) / torch.exp(logits / temperature).sum(-1, keepdim=True)
    return {"forward": [torch.multinomial(probabilities, 1, generator=luck)[:, 0]] * case.tp}


def cut_anew(case: Case) -> dict:
    qkv, words = by_heads(*case.args)
    return {"QKV": qkv, "words": words}


ORACLES = {
    "read_shard": sliced,
    "to_hugging_face_rotary": turned_rows,
    "llama3_frequencies": long_texts,
    "greedy_decode": written_alone,
    "agree_on_tokens": luck_of_rank_0,
    "reshard": cut_anew,
}
