"""What a config.json says of rotary positions, by transformers' rules, and what of it can be computed here."""

from dataclasses import dataclass

from tplearn.planning.fields import Fields

THETA = 10_000.0


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3.1's stretching of slow rotary frequencies (rope_type "llama3")."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        low, high = self.low_freq_factor, self.high_freq_factor
        if not 0 < low < high:
            raise ValueError(f"low_freq_factor = {low}, high_freq_factor = {high}; 0 < low < high works")


def read_rope(config: Fields, max_positions: int) -> tuple[float, RopeScaling | None]:
    """(theta, scaling) of the fields of a config.json.

    transformers 4 wrote rope_theta and rope_scaling, 5 writes both into rope_parameters; where a file has both,
    rope_scaling is taken. Raises ValueError for another rope_type, and for a field that is missing or out of range.
    """
    rope = config.nested("rope_scaling" if config.get("rope_scaling") else "rope_parameters")
    for name, value in rope.values.items():
        if isinstance(value, dict):
            raise rope.refuse(name, "one setting for all layers works")
    for fields in (config, rope):
        fields.only("partial_rotary_factor", 1.0, 1)
    theta = rope.number("rope_theta", config.number("rope_theta", THETA))
    kind = rope.values.get("rope_type", rope.values.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise ValueError(f"{config.source}: rope_type = {kind!r} is not supported; types that work: default, llama3")
    numbers = ("factor", "low_freq_factor", "high_freq_factor")
    rope.require(numbers)
    original = "original_max_position_embeddings"  # beside the others, or else inside them, or else left out
    return theta, rope.build(
        RopeScaling,
        **{name: rope.number(name) for name in numbers},
        original_max_position_embeddings=config.integer(original, rope.integer(original, max_positions)),
    )
