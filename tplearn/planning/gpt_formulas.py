"""GPT's published formulas, as their papers print them: parameters, FLOPs and days of training.

h: hidden size, l: layers, s: sequence, v: vocabulary, b: sequences in the batch. The MLP is 4h wide.
"""


def gpt_parameters(h: int, layers: int, v: int, s: int) -> float:
    """12lh² (1 + 13 / 12h + (v + s) / 12lh). Source: arXiv:2104.04473 (SC21), equation 2."""
    return 12 * layers * h**2 * (1 + 13 / (12 * h) + (v + s) / (12 * layers * h))


def gpt_flops_with_recomputation(h: int, layers: int, v: int, s: int, b: int) -> float:
    """96bslh² (1 + s / 6h + v / 16lh): a step with every layer recomputed. Source: arXiv:2104.04473, equation 3."""
    return 96 * b * s * layers * h**2 * (1 + s / (6 * h) + v / (16 * layers * h))


def gpt_model_flops(h: int, layers: int, v: int, s: int, b: int) -> float:
    """72blsh² (1 + s / 6h + v / 12hl): a step, recomputation not counted. Source: arXiv:2205.05198, appendix A."""
    return 72 * b * s * layers * h**2 * (1 + s / (6 * h) + v / (12 * h * layers))


def training_days(parameters: float, tokens: float, gpus: int, flops_per_gpu: float) -> float:
    """8TP / nX, in days. `flops_per_gpu`: FLOP/s that each reaches. Source: arXiv:2104.04473, equation 4.

    8 because each layer is computed once more in backward; without that it is 6.
    """
    return 8 * tokens * parameters / (gpus * flops_per_gpu) / 86400
