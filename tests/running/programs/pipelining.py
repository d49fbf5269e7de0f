"""A model cut into one stage a rank, driven by GPipe and by 1F1B, with losses and gradients.

In the spirit of "Introduction to Distributed Pipeline Parallelism" (docs.pytorch.org,
tutorials/intermediate/pipelining_tutorial).
"""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe


def main() -> None:
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    for schedule_of in (ScheduleGPipe, Schedule1F1B):
        torch.manual_seed(rank)
        part = nn.Sequential(nn.Linear(12, 12), nn.Tanh())
        stage = PipelineStage(part, rank, world_size, torch.device("cpu"))
        schedule = schedule_of(stage, n_microbatches=4, loss_fn=nn.functional.mse_loss)
        torch.manual_seed(50)
        x, target, losses = torch.randn(8, 12), torch.randn(8, 12), []
        if rank == 0:
            schedule.step(x)
        elif rank == world_size - 1:
            schedule.step(target=target, losses=losses)
        else:
            schedule.step()
        gradient = part[0].weight.grad.norm().item()
        print(f"{schedule_of.__name__}: gradient {gradient:.5f} losses {[f'{loss.item():.5f}' for loss in losses]}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
