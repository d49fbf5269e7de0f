"""Programs with one fault each, run on ranks by the fault drill; their line texts are asserted, so keep them apart."""

import ctypes
import os
import signal
import time

import torch
import torch.distributed as dist


def rank() -> int:
    return dist.get_rank()


def add_up(x=None):
    x = torch.ones(4) if x is None else x.clone()
    dist.all_reduce(x)
    return x


def different_op():
    x = torch.ones(4)
    if rank() == 1:
        dist.broadcast(x, src=0)
    else:
        dist.all_reduce(x)


def different_shape():
    dist.all_reduce(torch.ones(4 if rank() else 5))


def different_dtype():
    dist.all_reduce(torch.ones(4, dtype=torch.float64 if rank() else torch.float32))


def different_reduce_op():
    dist.all_reduce(torch.ones(4), op=dist.ReduceOp.MAX if rank() else dist.ReduceOp.SUM)


def different_root():
    dist.broadcast(torch.ones(4), src=rank())


def returns_early():
    x = torch.ones(4)
    dist.all_reduce(x)
    if rank() == 1:
        return "early"
    dist.all_reduce(x)
    return "late"


def leaves_before_relu():
    from torch.distributed.tensor import DTensor, Partial

    mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
    partial = DTensor.from_local(torch.ones(2), mesh, [Partial()])
    if rank() == 1:
        return "without relu"
    torch.relu(partial)  # sums inside


def raises():
    if rank() == 1:
        raise KeyError("the rank's own error")
    dist.all_reduce(torch.ones(4))


def raises_everywhere():
    raise ValueError("same on all")


def sys_exit():
    if rank() == 1:
        raise SystemExit(3)
    dist.all_reduce(torch.ones(4))


def hard_exit():
    if rank() == 1:
        os._exit(0)
    dist.all_reduce(torch.ones(4))


def killed():
    dist.all_reduce(torch.ones(4))
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_reduce(torch.ones(4))


def aborts_in_c():
    if rank() == 1:
        ctypes.CDLL(None).abort()
    dist.all_reduce(torch.ones(4))


def recv_recv():
    x = torch.ones(4)
    dist.recv(x, src=1 - rank())
    dist.send(x, dst=1 - rank())


def send_recv_sizes():
    if rank() == 0:
        dist.send(torch.ones(3), dst=1)
    else:
        dist.recv(torch.ones(5), src=0)


def swapped_groups():
    one, two = dist.new_group([0, 1]), dist.new_group([0, 1])
    for group in (one, two) if rank() else (two, one):
        dist.all_reduce(torch.ones(4), group=group)


def swapped_lines():
    a, b = torch.ones(4), torch.zeros(4)
    if rank() == 0:
        add_first(a)
        add_second(b)
    else:
        add_second(b)
        add_first(a)
    return a


def add_first(x):
    dist.all_reduce(x)  # first line


def add_second(x):
    dist.all_reduce(x)  # second line


def async_never_matched():
    if rank() == 0:
        dist.all_reduce(torch.ones(4), async_op=True)
    return "done"


def async_waited():
    if rank() == 0:
        dist.all_reduce(torch.ones(4), async_op=True).wait()
    return "done"


def subgroup_alone():
    if rank() == 0:
        dist.new_group([0, 1])
    return "done"


def mesh_alone():
    if rank() == 0:
        dist.init_device_mesh("cpu", (2,))
    return "done"


def endless_python():
    while True:
        pass


def endless_c():
    # PyDLL keeps the interpreter's lock: not even another thread of this rank can run.
    ctypes.PyDLL(None).sleep(1000)


def prints_a_lot():
    line = "x" * 99 + "\n"
    for _ in range(1000):
        print(line * 1000, end="")
    return "printed"


def cannot_be_pickled():
    return (n for n in range(3))


def one_gigabyte():
    return torch.ones(1 << 28 if rank() == 0 else 1)


def sleeps():
    dist.all_reduce(torch.ones(4))
    if rank() == 1:
        time.sleep(1000)
    dist.all_reduce(torch.ones(4))


def tags_that_never_meet():
    if rank() == 0:
        dist.send(torch.ones(3), dst=1, tag=1)
    elif rank() == 1:
        dist.recv(torch.ones(3), src=0, tag=2)


def tags_in_another_order():
    """Two messages, received in the order of neither their sending nor their sizes: gloo goes by the tag."""
    if rank() == 0:
        works = [dist.isend(torch.ones(3), 1, tag=1), dist.isend(torch.full((5,), 2.0), 1, tag=2)]
    elif rank() == 1:
        two, one = torch.empty(5), torch.empty(3)
        works = [dist.irecv(two, 0, tag=2), dist.irecv(one, 0, tag=1)]
    else:
        works = []
    for work in works:
        work.wait()
    return [one.tolist(), two.tolist()] if rank() == 1 else None


def any_source():
    """Rank 0 takes what comes from whom it comes."""
    x = torch.tensor([float(rank())])
    if rank():
        dist.send(x, dst=0)
        return None
    seen = []
    for _ in range(dist.get_world_size() - 1):
        dist.recv(x)
        seen.append(x.item())
    return sorted(seen)


def not_a_peer():
    dist.send(torch.ones(1), dst=dist.get_world_size())


def to_itself():
    works = [dist.isend(torch.ones(1), dst=rank()), dist.irecv(torch.ones(1), src=rank())]
    for work in works:
        work.wait()


def not_a_root():
    dist.broadcast(torch.ones(1), src=5)


def hangs(folder=None):
    if folder is not None:
        (folder / str(rank())).touch()
    if rank() == 0:
        time.sleep(1000)
    dist.all_reduce(torch.ones(4))


def long_compute(seconds):
    if rank() == 0:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))
    dist.all_reduce(torch.ones(4))
    return "fine"


def leaves_children():
    import subprocess

    subprocess.Popen(["sleep", "1000"])
    return os.getpid()
