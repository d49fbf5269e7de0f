"""One training step of the whole model: every gradient is the dense model's, and nothing is sent that need not be."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.evaluate import bits_per_byte
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.parallel import clip_gradients, partitions, sync_gradients

TOLERANCE = 1e-9  # relative, in float64
EIGHT = LlamaConfig(32, 48, 2, 8, 2, 131, qkv_bias=True, tie_word_embeddings=True)
NINE = LlamaConfig(36, 51, 2, 9, 3, 100)
CASES = [(EIGHT, 2), (EIGHT, 4), (EIGHT, 8), (NINE, 3)]


def build(config: LlamaConfig, seed: int, sequence_parallel: bool = False) -> Llama:
    """In float64; norms and biases far from one and zero, equal at every tp size."""
    torch.manual_seed(seed)
    model = Llama(replace(config, initializer_range=0.3), sequence_parallel=sequence_parallel).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter, partition in partitions(model):
            if parameter.ndim == 1:
                parameter.add_(partition.shard(torch.rand(partition.dense_shape, generator=generator).double()))
    return model


def gradients(
    config: LlamaConfig, seed: int, ids: Tensor, targets: Tensor, sequence_parallel: bool, sync: bool = True
) -> tuple[float, dict[str, Tensor]]:
    model = build(config, seed, sequence_parallel)
    loss = model.loss(ids, targets)
    loss.backward()
    if sync:
        sync_gradients(model)
    return loss.item(), {
        name: partition.full_tensor(parameter.grad) for name, parameter, partition in partitions(model)
    }


@pytest.mark.parametrize("sequence_parallel", [False, True], ids=["TP", "TP + SP"])
@pytest.mark.parametrize(("config", "tp"), CASES, ids=lambda value: getattr(value, "num_attention_heads", value))
def test_every_gradient_is_the_dense_one(config: LlamaConfig, tp: int, sequence_parallel: bool) -> None:
    seed = random.randrange(1 << 30)
    ids, targets = torch.randint(config.vocab_size, (2, 2, 24)).unbind(0)
    targets[0, :5] = -100
    loss, due = gradients(config, seed, ids, targets, False)
    for own_loss, own in run_ranks(gradients, tp, config, seed, ids, targets, sequence_parallel, record=False).values:
        assert own_loss == pytest.approx(loss, rel=TOLERANCE)
        assert own.keys() == due.keys()
        for name, gradient in own.items():
            assert (gradient - due[name]).abs().max() <= TOLERANCE * due[name].abs().max(), name


def test_without_the_sync_the_norms_are_wrong() -> None:
    ids, targets = torch.randint(131, (2, 2, 24)).unbind(0)
    _, due = gradients(EIGHT, 0, ids, targets, False)
    _, own = run_ranks(gradients, 2, EIGHT, 0, ids, targets, True, False).values[0]
    wrong = {n for n, g in own.items() if (g - due[n]).abs().max() > 10 * TOLERANCE * due[n].abs().max()}
    assert wrong == {name for name in due if "norm" in name}


@pytest.mark.parametrize("tp", [2, 4])
def test_two_and_two_a_layer_and_nothing_else(tp: int) -> None:
    ids, targets = torch.randint(100, (2, 2, 24)).unbind(0)
    config = replace(EIGHT, num_key_value_heads=4, qkv_bias=False, tie_word_embeddings=False)
    run = run_ranks(gradients_only, tp, config, ids, targets)
    wide, thin = 2 * 24 * 32 * 4, 2 * 24 * 4  # [batch, seq, hidden] and [batch, seq] in float32
    layers = config.num_hidden_layers
    # A layer: 2 forward, 2 backward; the embedding 1 forward, the head 1 backward; the loss 3 small ones.
    due = {("all_reduce", "SUM", wide): 4 * layers + 2, ("all_reduce", "SUM", thin): 2, ("all_reduce", "MAX", thin): 1}
    for rank in range(tp):
        assert Counter((r.op, r.reduce_op, r.bytes) for r in run.ledger.rows if r.rank == rank) == due


def gradients_only(config: LlamaConfig, ids: Tensor, targets: Tensor) -> None:
    Llama(config).loss(ids, targets).backward()


def steps(config: LlamaConfig, windows: Tensor, clip: float) -> tuple[list[float], dict[str, Tensor]]:
    torch.manual_seed(3)
    model = Llama(config).double()
    trainer = Trainer(model, Recipe(clip=clip))
    losses = [trainer.step(window)[0].item() for window in windows]
    return losses, {name: partition.full_tensor(parameter.detach()) for name, parameter, partition in partitions(model)}


def test_some_steps_end_at_the_dense_weights() -> None:
    windows = torch.randint(131, (4, 2, 17))
    losses, due = steps(EIGHT, windows, 0.01)  # a clip that always bites
    for own_losses, own in run_ranks(steps, 4, EIGHT, windows, 0.01, record=False).values:
        assert own_losses == pytest.approx(losses, rel=1e-9)
        assert all((own[name] - due[name]).abs().max() < 1e-9 for name in due)


def norms(config: LlamaConfig, ids: Tensor, sequence_parallel: bool) -> tuple[float, float]:
    model = build(config, 5, sequence_parallel)
    model.loss(ids, ids).backward()
    sync_gradients(model)
    plain = torch.nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()])
    return clip_gradients(model, 1.0).item(), plain.item()


@pytest.mark.parametrize("sequence_parallel", [False, True], ids=["TP", "TP + SP"])
def test_the_gradient_norm_is_the_dense_one(sequence_parallel: bool) -> None:
    ids = torch.randint(131, (2, 24))
    dense = build(EIGHT, 5)
    dense.loss(ids, ids).backward()
    due = clip_grad_norm_(dense.parameters(), 1.0).item()
    values = run_ranks(norms, 4, EIGHT, ids, sequence_parallel).values
    for own, plain in values:
        assert own == pytest.approx(due, rel=1e-9)
        assert abs(plain - due) > 1e-2 * due  # what each rank's own parameters would say


def learn(stream: Tensor, config: LlamaConfig) -> tuple[list[float], float]:
    torch.manual_seed(0)
    model = Llama(config)
    losses: list[float] = []
    trainer = Trainer(model, Recipe(steps=120, batch=4, length=16, warmup=5))
    trainer.run(stream, lambda loss, _: losses.append(loss))
    return losses, bits_per_byte(model, [stream[:200]], 200, 16)


def test_training_learns_and_all_ranks_agree() -> None:
    stream = torch.arange(2000) % 7 + 1  # a cycle: easy to learn
    values = run_ranks(learn, 2, stream, replace(EIGHT, vocab_size=16), record=False).values
    (losses, bits), other = values
    assert losses[0] > 2.5 and losses[-1] < 0.3 and bits < 0.5
    assert other == (losses, bits)


def test_bits_per_byte_counts_each_token_once() -> None:
    model = Llama(replace(EIGHT, tie_word_embeddings=False))
    with torch.no_grad():
        model.lm_head.weight.zero_()  # every word is equally likely: log2(131) bits each
    for tokens in (2, 15, 16, 17, 33, 100):
        bits = bits_per_byte(model, [torch.zeros(tokens, dtype=torch.long)], 1, 16)
        assert bits == pytest.approx((tokens - 1) * torch.tensor(131.0).log2().item(), rel=1e-5), tokens


def uneven(config: LlamaConfig) -> str:
    try:
        Llama(config)
    except ValueError as error:
        return f"{dist.get_rank()} {error}"
    return ""


def test_a_size_that_does_not_divide_is_refused_on_every_rank() -> None:
    values = run_ranks(uneven, 3, EIGHT).values
    assert all(f"{rank} num_heads = 8" in value and "1, 2, 4, 8" in value for rank, value in enumerate(values)), values
