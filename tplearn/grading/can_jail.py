"""Whether this machine can jail student code, tried for real; and where not, why and what to do, in one sentence."""

import shutil
import sys
import tempfile
from pathlib import Path

from tplearn import jailed
from tplearn.grading.bubblewrap import NoJail
from tplearn.grading.jail import Jail

SECONDS = 30.0
DOCKER = (
    "start the container with --security-opt seccomp=unconfined (often also --security-opt apparmor=unconfined "
    "and --cap-add SYS_ADMIN), or grade outside it"
)
# What bubblewrap or unshare says -> why there is no jail, and what to do. The first that fits is told.
REASONS = (
    (
        "bwrap is not installed",
        "bubblewrap is not installed: sudo apt install bubblewrap (other systems: package bubblewrap)",
    ),
    ("Unknown option", "this bubblewrap is too old for --size and --perms: install version 0.5 or newer"),
    (
        "unprivileged_userns_clone",
        "the kernel gives user namespaces to root only: sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    ("No space left on device", "user namespaces are switched off: sudo sysctl -w user.max_user_namespaces=10000"),
)
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
APPARMOR = (
    "Ubuntu's AppArmor keeps user namespaces from bubblewrap: "
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
)
UNREADABLE = (
    "a jail starts, but what runs in it is another user, and could not read the installed packages: "
    "chmod -R o+rX their folder"
)
CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))


def can_jail() -> str | None:
    """None where a jail can be had, else a sentence that says why not and what to do. Takes about 0.2 s."""
    if sys.platform != "linux":
        return f"jails need Linux, and this is {sys.platform}: grade in a virtual machine, in WSL 2, or on GitHub."
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder)
        image.chmod(0o755)
        inside = image / "tplearn" / "jailed"
        shutil.copytree(Path(jailed.__file__).parent, inside, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            with Jail.start([image], modules=()) as jail:
                rank = jail.rank("tplearn.jailed.trial:main")
                ending = rank.wait(SECONDS)
        except NoJail as error:
            return explain(str(error))
    if ending is not None and ending.code == 0:
        return None
    last = _last(rank.output())
    unreadable = last.startswith("PermissionError: [Errno 13]")
    return f"{UNREADABLE} ({last})." if unreadable else f"a jail starts, but a trial in it failed: {last}"


def explain(said: str) -> str:
    """The sentence for what the programs said. What no rule knows is told as it was said."""
    for sign, sentence in REASONS:
        if sign in said:
            return f"{sentence}."
    last = _last(said)
    refused = "ermission denied" in said or "not permitted" in said
    if refused and RESTRICTED.exists() and RESTRICTED.read_text().strip() == "1":
        return f"{APPARMOR} ({last})."
    if refused and any(path.exists() for path in CONTAINER):
        return f"this container may not make namespaces: {DOCKER} ({last})."
    return f"a jail could not be started: {last}"


def _last(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else "it ended without a word"
