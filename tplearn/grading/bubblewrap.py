"""The command line of a jail: which files bubblewrap shows in it, and the user that its processes really are.

Bubblewrap (bwrap, package bubblewrap) makes the namespaces: users, processes, network, IPC, host name, mounts. Inside
there is no network, no file of the course but the image, and nothing can be written. Of Python and the system there are
the folders of libraries and programs, so a course that lies in /usr/src is not seen. Of /proc there is one text, on the
processor: without it torch would fall back to its slowest kernels, whose sums differ in the last digits.
"""

import contextlib
import os
import random
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import tplearn

NOBODY = 65534
FIRST_STRANGER = 900_000  # users that no machine hands out
CAPABILITIES = ("SYS_ADMIN", "SETUID", "SETGID", "SETPCAP")  # of the nursery, inside its own user namespace
ENVIRONMENT = {
    "HOME": "/jail/work",
    "TMPDIR": "/jail/work",
    "LOGNAME": "rank",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "8",  # threads in each pool of XLA, which would take as many as the machine has cores
}
START = """import sys
control, modules, readable, image, packages = sys.argv[1:]
sys.path[:0] = image.split(":")
sys.path += packages.split(":")
from tplearn.jailed.nursery import serve
serve(int(control), modules.split(",") if modules else [], readable.split(":") if readable else None)"""


class NoJail(RuntimeError):
    """A jail cannot be had; the message says why, in the words of the program that failed."""


def bubblewrap() -> str:
    """Where bwrap is. Raises NoJail where it is not installed."""
    if (program := shutil.which("bwrap")) is None:
        raise NoJail("bwrap is not installed")
    return program


def version() -> str:
    """Such as "bubblewrap 0.8.0". Raises NoJail where it is not installed."""
    return subprocess.run([bubblewrap(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


def arguments(
    image: Sequence[Path], hidden: Sequence[Path], modules: Sequence[str], control: int, cpus: int, users: int | None
) -> list[str]:
    """Bubblewrap's arguments for a jail whose first process is the nursery.

    Args:
        image: folders on the ranks' path, in this order; between them they hold tplearn/jailed.
        hidden: folders that are covered, should they lie inside what is shown; tplearn itself is, always.
        modules: what the nursery imports before it forks.
        control: the nursery's end of its socket, a file that bubblewrap inherits.
        cpus: /proc/cpuinfo, open to read: torch chooses its kernels by it. No more of /proc is there.
        users: a user namespace to use, as a file; None has bubblewrap make one.
    """
    shown = sorted({Path(os.path.realpath(sys.executable)).parent, *libraries()})
    inside = [f"/jail/image/{index}" for index in range(len(image))]
    words = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--as-pid-1", "--die-with-parent", "--new-session"]
    words += (
        ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)] if users is None else ["--userns", str(users)]
    )
    for capability in CAPABILITIES:
        words += ["--cap-add", f"CAP_{capability}"]
    for name in ("lib", "lib64"):
        root = Path("/", name)
        if root.is_symlink():
            words += ["--symlink", os.readlink(root), str(root)]
        elif root.is_dir():
            words += ["--ro-bind", str(root), str(root)]
    words += ["--perms", "0755", "--dir", "/etc", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    words += _parents(shown)
    for place in shown:
        words += ["--ro-bind", str(place), str(place)]
    for place in covers(shown, [*own_folders(), *hidden]):
        words += ["--tmpfs", str(place), "--remount-ro", str(place)]
    words += ["--perms", "0755", "--dir", "/jail", "--perms", "0755", "--dir", "/jail/image"]
    for folder, where in zip(image, inside, strict=True):
        words += ["--ro-bind", str(folder), where]
    words += ["--perms", "0755", "--dir", "/proc", "--perms", "0444", "--ro-bind-data", str(cpus), "/proc/cpuinfo"]
    words += ["--perms", "0755", "--dir", "/dev"]
    for device in ("null", "zero", "urandom"):
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    words += ["--perms", "0755", "--dir", "/jail/work", "--remount-ro", "/", "--chdir", "/jail/work"]
    return [*words, *nursery(inside, modules, control)]


def nursery(
    image: Sequence[str], modules: Sequence[str], control: int, readable: Sequence[Path | str] = ()
) -> list[str]:
    """The command that is the nursery. readable: outside a jail, what its ranks may read; in one there is no more."""
    places = [":".join(image), ":".join(map(str, _sites()))]
    python = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", START]
    return [*python, str(control), ",".join(modules), ":".join(map(str, readable)), *places]


def libraries() -> set[Path]:
    """The folders of libraries, the system's and Python's, and those of the installed packages."""
    found = [Path(base, name) for base in ("/usr", sys.base_prefix) for name in ("lib", "lib64")]
    return {*_sites(), *(place for place in found if place.is_dir())}


def own_folders() -> list[Path]:
    """Where this package is, or would be among the installed ones."""
    return [*(place / "tplearn" for place in _sites()), Path(tplearn.__file__).parent]


def _sites() -> list[Path]:
    return [Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages()) if Path(folder).is_dir()]


def covers(shown: Sequence[Path], hidden: Sequence[Path]) -> list[Path]:
    """Where the folders to hide appear inside those that are shown, by whatever links the names go."""
    pairs = [(there, there.resolve(), place.resolve()) for there in shown for place in hidden if place.is_dir()]
    return sorted({there / place.relative_to(real) for there, real, place in pairs if place.is_relative_to(real)})


def _parents(places: Sequence[Path]) -> list[str]:
    """Makes the folders above; bubblewrap itself would make them closed to a rank's user."""
    above = sorted({parent for place in places for parent in place.parents} - {Path("/")})
    return [word for place in above for word in ("--perms", "0755", "--dir", str(place))]


@contextlib.contextmanager
def user_namespace() -> Iterator[int | None]:
    """For root: a user namespace as a file, where 0 is root and 65534 a user whom nobody is. None for other users.

    The kernel does not count the processes of root, and root reads every file: so the ranks of root's jails must be
    somebody else outside as well. Raises NoJail where the kernel makes none.
    """
    if os.geteuid() != 0:
        yield None
        return
    holder = ["unshare", "--user", "sh", "-c", "echo up; read wait"]
    if shutil.which(holder[0]) is None:
        raise NoJail("unshare is not installed (package util-linux)")
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if process.stdout.readline() != b"up\n":
            raise NoJail(process.communicate()[1].decode(errors="replace").strip() or "unshare --user ended")
        try:
            lines = f"0 0 1\n{NOBODY} {stranger()} 1\n"
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{name}").write_text(lines)
            file = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY)
        except OSError as error:
            raise NoJail(f"{error.filename}: {error.strerror}") from error
        finally:
            process.communicate()
    try:
        yield file
    finally:
        os.close(file)


def stranger(ids: str | None = None) -> int:
    """A user's number that means nobody here, another one from jail to jail.

    ids: what /proc/self/uid_map holds; a container may know 65,536 users only.
    """
    lines = (ids or Path("/proc/self/uid_map").read_text()).splitlines()
    first, _, count = max((tuple(map(int, line.split())) for line in lines), key=lambda row: row[2])
    last = first + count - 1
    start = FIRST_STRANGER if last >= FIRST_STRANGER + 1000 else last - 1000
    return start + random.randrange(1000)
