"""The KV cache of one layer: the keys and values of the tokens before, on each rank those of its own heads."""

from collections.abc import Sequence

from torch import Tensor

from tplearn.sizes import require_size, shown
from tplearn.tensors import described, require_tensor


class KVCache:
    """The keys and values of one layer's own heads for up to `max_length` tokens: 2 × [batch, kv heads, length, d].

    Each rank keeps only its own KV heads, and each layer of a model needs a cache of its own. Raises ValueError where
    max_length is no size, a token does not fit, keys have another batch, number of heads, dtype or device than those
    before, or another layer has filled the cache.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length, self.length = require_size("max_length", max_length), 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.layer: int | None = None

    def append(self, k: Tensor, v: Tensor, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """k, v: [batch, kv heads, new, d] → all keys and values so far, as views.

        `layer`: a number by which the layer is known that the keys belong to; None says nothing.
        """
        self._require_alike(k, v)
        if None not in (layer, self.layer) and layer != self.layer:
            raise ValueError(
                f"another layer has filled this KV cache, with {self.length} tokens; a KVCache for each layer works"
            )
        start, stop = self.length, self.length + k.shape[2]
        if stop > self.max_length:
            raise ValueError(
                f"{stop} tokens do not fit into a KV cache of {self.max_length}, which holds {start} already; "
                f"KVCache({stop}) works, or where several layers share this one, a KVCache for each"
            )
        if self.keys is None:
            shape = (*k.shape[:2], self.max_length, k.shape[3])
            self.keys, self.values = k.new_empty(shape), v.new_empty(shape)
        self.keys[:, :, start:stop], self.values[:, :, start:stop] = k, v
        self.length, self.layer = stop, self.layer if layer is None else layer
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def _require_alike(self, k: Tensor, v: Tensor) -> None:
        """Raises ValueError where k and v are not one kind, or not the kind that is kept."""
        require_tensor("k", k)
        require_tensor("v", v)
        if k.ndim != 4 or v.shape != k.shape or v.dtype != k.dtype or v.device != k.device:
            raise ValueError(
                f"k is {described(k)} on {k.device} and v {described(v)} on {v.device}; "
                "[batch, kv heads, new, head_dim] works for both"
            )
        kept = self.keys
        if kept is None:
            return
        batch, heads, _, d = kept.shape
        if (batch, heads, k.shape[2], d) != k.shape or kept.dtype != k.dtype or kept.device != k.device:
            raise ValueError(
                f"k is {described(k)} on {k.device}, and the KV cache keeps {described(kept)} on {kept.device}; only "
                "the number of tokens may differ, and other texts need a new KVCache"
            )


def tokens_before(caches: Sequence[KVCache], layers: int) -> int:
    """How many tokens a model's caches hold. Raises ValueError where they are not one for each layer, alike."""
    works = "[KVCache(max_length) for _ in model.layers] works"
    if not isinstance(caches, Sequence) or not all(isinstance(cache, KVCache) for cache in caches):
        raise ValueError(f"caches = {shown(caches)} is not a list of KV caches; {works}")
    if len(caches) != layers:
        raise ValueError(f"{len(caches)} KV caches for {layers} layers; {works}")
    numbers: dict[int, int] = {}
    for number, cache in enumerate(caches):
        same = numbers.setdefault(id(cache), number)
        if same != number:
            raise ValueError(f"caches[{number}] is the same KVCache as caches[{same}]; {works}")
        if cache.length != caches[0].length:
            raise ValueError(
                f"caches[{number}] holds {cache.length} tokens and caches[0] {caches[0].length}; caches that have seen "
                "the same tokens work"
            )
    return caches[0].length if caches else 0
