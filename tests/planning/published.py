"""Published models, runs and measurements that the cost model is held against, each with its source."""

from tplearn.planning import MODELS, Layout, ModelShape, TrainingJob


def gpt(h: int, layers: int, heads: int, vocabulary: int = 51200, name: str = "") -> ModelShape:
    """A GPT: an MLP of two matrices, 4h wide, and a tied head."""
    return ModelShape(h, 4 * h, layers, heads, heads, None, vocabulary, True, mlp_matrices=2, name=name)


# arXiv:2104.04473 (SC21), Table 1. billions: heads, h, layers, t, p, GPUs, batch, TFLOP/s a GPU, % of 312
SC21 = {
    1.7: (24, 2304, 24, 1, 1, 32, 512, 137, 44),
    3.6: (32, 3072, 30, 2, 1, 64, 512, 138, 44),
    7.5: (32, 4096, 36, 4, 1, 128, 512, 142, 46),
    18.4: (48, 6144, 40, 8, 1, 256, 1024, 135, 43),
    39.1: (64, 8192, 48, 8, 2, 512, 1536, 138, 44),
    76.1: (80, 10240, 60, 8, 4, 1024, 1792, 140, 45),
    145.6: (96, 12288, 80, 8, 8, 1536, 2304, 148, 47),
    310.1: (128, 16384, 96, 8, 16, 1920, 2160, 155, 50),
    529.6: (128, 20480, 105, 8, 35, 2520, 2520, 163, 52),
    1008.0: (160, 25600, 128, 8, 64, 3072, 3072, 163, 52),
}

# arXiv:2104.04473, section 5.1 and Table 2. parameters in billions, tokens in billions, GPUs, TFLOP/s a GPU, days
DAYS = {
    "GPT-3": (174.6, 300, 1024, 140, 34),
    "1T": (1008, 450, 3072, 163, 84),
    "PTD 175B, 384": (174.6, 300, 384, 153, 84),
    "PTD 175B, 768": (174.6, 300, 768, 149, 43),
    "PTD 175B, 1536": (174.6, 300, 1536, 141, 23),
    "PTD 530B, 560": (529.6, 300, 560, 171, 156),
    "PTD 530B, 1120": (529.6, 300, 1120, 167, 80),
    "PTD 530B, 2240": (529.6, 300, 2240, 159, 42),
    "ZeRO-3 175B, 384": (174.6, 300, 384, 144, 90),
    "ZeRO-3 175B, 768": (174.6, 300, 768, 88, 74),
    "ZeRO-3 175B, 1536": (174.6, 300, 1536, 44, 74),
}

# arXiv:2205.05198, Tables 3 and 5. h, layers, heads, t, p, GPUs, batch, micro-batch, interleaved pieces,
# seconds with selective and with full recomputation, MFU in %
KORTHIKANTI = {
    "22B": (6144, 48, 64, 8, 1, 8, 4, 4, 1, 1.10, 1.42, 41.5),
    "175B": (12288, 96, 96, 8, 8, 64, 64, 1, 3, 13.75, 18.13, 51.4),
    "530B": (20480, 105, 128, 8, 35, 280, 280, 1, 3, 37.83, 49.05, 56.0),
    "1T": (25600, 128, 160, 8, 64, 512, 512, 1, 1, 71.49, 94.42, 56.3),
}


def korthikanti(name: str, recompute: str) -> tuple[TrainingJob, Layout]:
    """A run of Table 5. Full recomputation was measured without sequence parallelism."""
    h, layers, heads, t, p, gpus, batch, size, v, *_ = KORTHIKANTI[name]
    dp = gpus // (t * p)
    layout = Layout(t, 1, p, dp, 0, batch // dp // size, recompute, v, sequence_parallel=recompute != "full")
    return TrainingJob(gpt(h, layers, heads), 2048, batch, flash_attention=False), layout


# arXiv:2407.21783, Table 4, in the order of the table. GPUs, tp, cp, pp, dp, sequence, TFLOP/s a GPU, MFU in %
LLAMA3 = {
    "8,192": (8192, 8, 1, 16, 64, 8192, 430, 43),
    "16,384": (16384, 8, 1, 16, 128, 8192, 400, 41),
    "16,384, 131k tokens": (16384, 8, 16, 16, 8, 131072, 380, 38),
}
LLAMA3_TOKENS = 16 * 2**20  # a batch: the paper's 16M


def llama3(name: str) -> tuple[TrainingJob, Layout]:
    """A run of Table 4. The paper interleaves, and says neither how many pieces nor what is recomputed: all eight
    layers of a stage, and what is cheap."""
    _, tp, cp, pp, dp, sequence, *_ = LLAMA3[name]
    batch = LLAMA3_TOKENS // sequence
    layout = Layout(tp, cp, pp, dp, 1, batch // dp, "selective", 8)
    return TrainingJob(MODELS["Llama-3.1-405B"], sequence, batch), layout


# pytorch-labs/gpt-fast, README: A100-80GB, bf16, one sequence. tp: tokens/s
GPT_FAST = {
    "Llama-2-7B": {1: 104.9, 2: 168.84, 4: 254.02, 8: 328.43},
    "Llama-2-70B": {2: 21.32, 4: 38.01, 8: 62.50},
}
