"""How to run a judge as root and as an ordinary user, from a test that is either."""

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
STRANGER = 900001
AS_ROOT, AS_ORDINARY = "as root", "as an ordinary user"


def closed(place: Path) -> Path | None:
    """The first folder above a place that other users cannot enter; None where they reach the place."""
    return next((above for above in reversed(place.parents) if not above.stat().st_mode & 0o001), None)


def prefix(user: str) -> list[str] | None:
    """What stands before a command that this user shall run; None where this process cannot be that user.

    An ordinary user must reach Python and this folder. Where root keeps them in a folder of its own, such as /root, the
    command sees another folder in its place, with these in it.
    """
    root = os.geteuid() == 0
    if (user == AS_ROOT) == root:
        return [] if root else None if user == AS_ROOT else []
    if not root:
        return [] if user == AS_ORDINARY else None
    shown = [place for place in {Path(sys.base_prefix), ROOT} if closed(place)]
    steps = ["set -e"]
    for index, place in enumerate(shown):
        steps.append(f"aside{index}=$(mktemp -d); mount --bind {shlex.quote(str(place))} $aside{index}")
    steps += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(top))}" for top in {closed(place) for place in shown}]
    for index, place in enumerate(shown):
        where = shlex.quote(str(place))
        steps.append(f"mkdir -p {where}; mount --bind $aside{index} {where}; umount $aside{index}; rmdir $aside{index}")
    steps.append(f'exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups "$@"')
    return ["unshare", "--mount", "sh", "-c", "\n".join(steps), "sh"]
