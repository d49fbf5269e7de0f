"""Runs the programs that it is given, one after the other, each with a group of its own.

In between it empties the store: a group that is made anew in the same one finds the addresses of the group before, and
may wait for them for ever. That is torch's, under torchrun as well.
"""

import os
import runpy
import sys

import torch.distributed as dist


def clear(place: int) -> None:
    """All ranks have ended a program; rank 0 deletes what it has left in the store."""
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    ended = f"several/ended {place}"
    if store.add(ended, 1) == int(os.environ["WORLD_SIZE"]):
        for key in store.list_keys():
            if "several/" not in key:
                store.delete_key(key)
        store.set(f"several/cleared {place}", "")
    store.wait([f"several/cleared {place}"])


if __name__ == "__main__":
    for place, path in enumerate(sys.argv[1:]):
        print(f"--- {path.rpartition('/')[2]}")
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as exit:
            print("exit", exit.code)
        clear(place)
