"""Where torchrun's ranks find their place: the variables that it sets, with the same names and meanings.

Source: torch.distributed.elastic.agent.server.local_elastic_agent, `_start_workers`, and torch.distributed.run.
"""

import os
import uuid


def common_place(world_size: int, port: int) -> dict[str, str]:
    """What is the same for every rank. port: of the store in which the ranks meet, on this machine."""
    size = str(world_size)
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")} if world_size > 1 else {}
    return threads | {
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "ROLE_WORLD_SIZE": size,
        "GROUP_WORLD_SIZE": "1",
        "GROUP_RANK": "0",
        "ROLE_NAME": "default",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": str(uuid.uuid4()),
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # every rank is the store's client, rank 0 too
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),
    }


def place_of(rank: int) -> dict[str, str]:
    """What is a rank's own."""
    return {name: str(rank) for name in ("RANK", "LOCAL_RANK", "ROLE_RANK")}


def threads_of(world_size: int, cores: int) -> int:
    """Threads that a rank computes with: OMP_NUM_THREADS, else one, and all cores where a rank is alone."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return cores if world_size == 1 else 1
