"""A model sharded by fully_shard, one group a layer, mixed precision, gradient clipping, and its full state gathered.

In the spirit of "Getting Started with Fully Sharded Data Parallel (FSDP2)" (docs.pytorch.org,
tutorials/intermediate/FSDP_tutorial).
"""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard


def main() -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Sequential(nn.Linear(16, 16), nn.GELU()) for _ in range(3)), nn.Linear(16, 4))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model:
        fully_shard(layer, mp_policy=policy)
    fully_shard(model, mp_policy=policy)
    weight = model[0][0].weight
    print(f"{type(weight).__name__} {weight.placements} local {tuple(weight.to_local().shape)} {weight.dtype}")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    torch.manual_seed(100 + dist.get_rank())
    for step in range(3):
        loss = model(torch.randn(8, 16)).float().square().mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step}: loss {loss.item():.5f} norm {norm.full_tensor().item():.5f}")
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    print(f"state of {len(state)} tensors: {sum(t.double().abs().sum() for t in state.values()) if state else 0:.5f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
