"""Programs that work in a script under torchrun, run on ranks by test_ordinary_process.py and under torchrun itself."""

import atexit
import concurrent.futures
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset


class Squares(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> float:
        return float(index**2)


def total(value: float) -> float:
    x = torch.tensor(value)
    dist.all_reduce(x)
    return x.item()


def draws() -> tuple[float, ...]:
    return (
        torch.rand(1).item(),
        random.random(),
        float(np.random.rand()),
        float(np.random.default_rng().random()),
        torch.empty(1).normal_().item(),
    )


def seeded_draws() -> tuple[float, float, float]:
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    return torch.rand(1).item(), random.random(), float(np.random.rand())


def data_loader(workers: int, **options: object) -> float:
    loader = DataLoader(
        Squares(), batch_size=2, num_workers=workers, collate_fn=lambda items: torch.tensor(items), **options
    )
    return total(sum(batch.sum().item() for batch in loader))


def child_process() -> float:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=lambda: there.send(21.0))
    process.start()
    value = here.recv()
    process.join()
    return total(value)


def process_pool() -> float:
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        return total(sum(pool.map(abs, [-1.0, -2.0])))


def thread_pool() -> float:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return total(sum(pool.map(float, range(4))))


def collective_in_a_thread() -> float:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(total, 2.0).result()


def send_from_a_timer() -> float:
    """The rank that sends does so later, from a thread, while both main threads wait."""
    x = torch.zeros(1)
    if dist.get_rank() == 0:
        threading.Timer(1.5, lambda: dist.send(torch.ones(1), dst=1)).start()
        dist.recv(x, src=1)
    else:
        dist.recv(x, src=0)
        dist.send(x, dst=0)
    return x.item()


def thread_that_outlives_the_function() -> str:
    def late() -> None:
        time.sleep(0.3)
        print("late")

    threading.Thread(target=late).start()
    return "returned"


class Kept:
    """Something whose finalizer speaks at the end of its process."""


KEPT = Kept()


def exit_functions() -> str:
    atexit.register(lambda: sys.stdout.write("at exit\n"))
    weakref.finalize(KEPT, lambda: sys.stdout.write("finalized\n"))
    return "returned"


def program_of_its_own() -> float:
    done = subprocess.run([sys.executable, "-c", "print(20 + 1)"], capture_output=True, text=True, check=True)
    return total(float(done.stdout))


def tqdm_bar() -> int:
    from tqdm import tqdm

    return sum(tqdm(range(3), file=sys.stdout))


def place() -> tuple[str, str, list[str]]:
    return os.environ["RANK"], os.environ["LOCAL_WORLD_SIZE"], sys.argv
