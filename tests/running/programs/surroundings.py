"""What a script finds around it: arguments, paths, torchrun's variables, children of every kind, threads, its end."""

import atexit
import multiprocessing
import os
import pickle
import sys
import threading

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

OWN = ("MASTER_PORT", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "TORCHELASTIC_ERROR_FILE", "TORCHELASTIC_SIGNALS_TO_HANDLE")


class Squares(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> float:
        return float(index**2)


def double(x: int) -> int:
    return 2 * x


def total(value: float) -> float:
    x = torch.tensor(value)
    dist.all_reduce(x)
    return x.item()


def main() -> None:
    print(sys.argv, sys.path[0], __file__, __name__, __spec__, sys.modules["__main__"].Squares is Squares)
    names = ("RANK", "WORLD_SIZE", "ROLE", "GROUP", "TORCHELASTIC", "MASTER", "OMP", "NCCL")
    told = {name: value for name, value in os.environ.items() if any(part in name for part in names)}
    print({name: told[name] for name in sorted(told) if name not in OWN}, torch.get_num_threads())
    dist.init_process_group("gloo")
    print("pickled", type(pickle.loads(pickle.dumps(Squares()))).__name__)
    for context in (None, "spawn"):
        loader = DataLoader(Squares(), batch_size=2, num_workers=1, multiprocessing_context=context)
        print("loader", context, total(sum(batch.sum().item() for batch in loader)))
    with multiprocessing.Pool(1) as pool:
        print("pool", pool.map(double, [1, 2]))
    found = []
    thread = threading.Thread(target=lambda: found.append(total(1.0)))
    thread.start()
    thread.join()
    print("thread", found)
    failing = threading.Thread(target=lambda: 1 / 0)
    failing.start()
    failing.join()
    dist.destroy_process_group()
    place = {name: int(os.environ[name.upper()]) for name in ("rank", "world_size")}
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}-{os.environ['MASTER_PORT']}", **place)
    print("again", total(2.0))
    atexit.register(print, "at exit")
    dist.destroy_process_group()
    sys.exit(0)


if __name__ == "__main__":
    main()
