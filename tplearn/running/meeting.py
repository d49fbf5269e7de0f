"""The store in which the ranks of a script meet: a process beside them, at a port that is never free for others.

Under torchrun it is the agent's. Here the parent opens the socket and hands it on: nobody can take the port meanwhile.
"""

import os
import socket
from multiprocessing.connection import Pipe

from tplearn.forkserver import Child, start_child


class Meeting:
    """The parent's end. The store ends when it is closed, or with the parent."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self.socket.getsockname()[1]
        self.child: Child | None = None
        self.theirs, self.ours = Pipe(duplex=False)

    def open(self) -> None:
        """Start it. Ranks that call before it listens wait in the socket's queue."""
        self.child = start_child(f"{__name__}:main", [self.port], [self.socket.fileno(), self.theirs.fileno()])
        self.theirs.close()
        self.socket.close()

    def close(self) -> None:
        """End it, whether it was opened or not."""
        for end in (self.ours, self.theirs, self.socket):
            end.close()
        if self.child:
            self.child.exit_code(2.0)
            self.child.status.close()


def main(port: int, listening: int, parent: int) -> None:
    """The store's life: until nobody holds the other end of `parent`."""
    os.setsid()  # Ctrl-C is for the parent, and the store is the last to go
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listening)
    os.read(parent, 1)
    del store
    os._exit(0)
