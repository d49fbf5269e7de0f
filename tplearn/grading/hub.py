"""The hub: the only way from rank to rank. It matches what ranks ask for, computes it, and keeps the ledger.

It reads no pipe and keeps no clock: it is given each message and says what is to be answered. As it knows what every
rank waits for, a deadlock, a mismatch or an early end is named at once, by the judge of `run_ranks` and in its words.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from tplearn.grading.combine import combine
from tplearn.grading.posts import TEXT, Post, read_post
from tplearn.jailed.forms import WireError
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.events import Block, Done, Enter, Exiting, Raised, Returned
from tplearn.ranks.known import Group
from tplearn.ranks.ledger import Row
from tplearn.ranks.mail import ANY

POSTS, BYTES = 5_000, 64 << 20  # what one rank may ask for in a case
Shift = Callable[[Tensor], Tensor]
Answer = tuple[int, list[Any]]  # a rank, and what it is told
Arrival = tuple[list[Tensor], int]  # what a collective brings a rank, and of a recv, from which rank of the group


class Hub:
    """One case on `size` ranks. shift: makes the tensor that arrives out of each, so that what uses it must move.

    recorded: False where there is one process and nothing to be said of collectives.
    """

    def __init__(self, size: int, shift: Shift | None = None, recorded: bool = True) -> None:
        self.size, self.shift = size, shift
        self.judge = Judge(size, recorded)
        self.values: dict[int, list[Any]] = {}  # rank -> what it was seen to do, and whose handles it never waited for
        self._met: dict[tuple[Group, int], dict[int, Post]] = defaultdict(dict)
        self._sends: dict[tuple, deque[Post]] = defaultdict(deque)  # nobody has received them; by group, target, tag
        self._recvs: dict[tuple, deque[Post]] = defaultdict(deque)
        self._ready: list[dict[int, Arrival]] = [{} for _ in range(size)]  # by number
        self._taken: list[set[int]] = [set() for _ in range(size)]
        self._bytes = [0] * size
        for state in self.judge.ranks:
            state.started = True

    @property
    def rows(self) -> list[list[Row]]:
        """The ledger, by rank."""
        return [[each.row for each in state.issued if each.row.op != "new_group"] for state in self.judge.ranks]

    def standing(self) -> Literal["go on", "settling", "fault", "over"]:
        """Whether the case goes on. settling: something is wrong, and a rank has not yet come to where it stops."""
        judge, live = self.judge, self.judge.live()
        wrong = bool(judge.mismatch or judge.failures())
        stuck = all(judge.ranks[rank].blocked if judge.mismatch else judge.waiting(rank) for rank in live)
        if wrong:
            return "fault" if stuck else "settling"
        if not live:
            return "over"
        return "fault" if stuck else "go on"

    def hear(self, rank: int, message: Any) -> list[Answer]:
        """A rank's message, and what is to be answered. Raises WireError where a rank cannot say that now."""
        state = self.judge.ranks[rank]
        if state.end is not None or state.blocked:
            raise WireError("a message out of turn")
        match message:
            case ["post", *parts]:
                return self._post(rank, parts)
            case ["wait", int(number)] if 0 <= number < len(state.issued) and number not in self._taken[rank]:
                self.judge.handle(rank, Block(number, 0))
                return self._wake([rank])
            case ["test", int(number)]:
                return [(rank, ["is", number in self._ready[rank]])]
            case ["exiting", int(status), str(source), str(code)]:
                self.judge.handle(rank, Exiting(status, source[:TEXT], code[:TEXT]))
            case ["raised", *parts]:
                self.judge.handle(rank, read_raised(parts))
            case ["value", dict(seen), list(unwaited)] if _can_be_seen(seen, unwaited):
                self.values[rank] = [seen, unwaited]
                self.judge.handle(rank, Returned("", ""))
            case _:
                raise WireError("a message that no rank of ours would send")
        return []

    # --- collectives ------------------------------------------------------------------------------------------

    def _post(self, rank: int, parts: list[Any]) -> list[Answer]:
        state = self.judge.ranks[rank]
        post = read_post(rank, self.size, len(state.issued), parts)
        self._bytes[rank] += sum(tensor.nbytes for tensor in post.tensors)
        if len(state.issued) >= POSTS or self._bytes[rank] > BYTES:
            raise WireError(f"more than {POSTS} collectives, or {BYTES} bytes, in one case")
        self.judge.handle(rank, Enter(post.row, post.group, blocking=False, thread=0))
        if self.judge.mismatch:
            return []  # nothing is delivered any more
        if post.row.op in ("send", "recv"):
            return self._wake(self._mail(post))
        issued = state.issued[-1]
        place = issued.group, issued.place
        met = self._met[place]
        met[rank] = post
        if post.row.op == "new_group":
            return self._wake(self._members_met(met))
        if not self.judge.complete(issued):
            return []
        del self._met[place]
        posts = [met[member] for member in issued.group.ranks]
        for each, tensors in zip(posts, combine(posts), strict=True):
            own = each.row.op == "scatter" and each.row.rank == each.row.root  # its part was never on the way
            self._arrive(each, tensors if own else self._shifted(tensors))
        return self._wake(issued.group.ranks)

    def _members_met(self, met: dict[int, Post]) -> list[int]:
        """The ranks that have made a new group: members once all members have come, others at once."""
        made = [each for each in met.values() if each.needs <= met.keys()]
        for each in made:
            self._arrive(each, [])
        return [each.row.rank for each in made]

    def _mail(self, post: Post) -> list[int]:
        """Match a send or recv with the first on the other side that fits; the ranks for which something is over."""
        row, sending = post.row, post.row.op == "send"
        target = row.peer if sending else row.rank
        key = post.group, row.group, target, row.tag
        mine, theirs = (self._sends, self._recvs) if sending else (self._recvs, self._sends)
        other = next((each for each in theirs[key] if _fits(*((post, each) if sending else (each, post)))), None)
        if other is None:
            mine[key].append(post)
            return []
        theirs[key].remove(other)
        sent, received = (post, other) if sending else (other, post)
        if (sent.row.bytes, sent.row.dtype) != (received.row.bytes, received.row.dtype):
            self.judge.mismatch = self.judge.mismatch or [sent.row, received.row]  # a recv from any rank
            return []
        self._arrive(sent, [])
        self._arrive(received, self._shifted(sent.tensors), sent.row.group.index(sent.row.rank))
        return [sent.row.rank, received.row.rank]

    def _shifted(self, tensors: list[Tensor]) -> list[Tensor]:
        return [self.shift(tensor) for tensor in tensors] if self.shift else tensors

    def _arrive(self, post: Post, tensors: list[Tensor], source: int = ANY) -> None:
        self._ready[post.row.rank][post.row.index] = tensors, source

    def _wake(self, ranks: tuple[int, ...] | list[int]) -> list[Answer]:
        """Answers for those that wait for what is there now."""
        answers: list[Answer] = []
        for rank in ranks:
            for number in set(self.judge.ranks[rank].blocked.values()) & set(self._ready[rank]):
                tensors, source = self._ready[rank].pop(number)
                self._taken[rank].add(number)
                self.judge.handle(rank, Done(number, 0))
                answers.append((rank, ["done", number, tensors, source]))
        return answers


def _fits(sent: Post, received: Post) -> bool:
    return received.row.peer in (sent.row.rank, ANY)


def _can_be_seen(seen: dict[Any, Any], unwaited: list[Any]) -> bool:
    """Whether these can be aspects and texts. That something failed is said in another way."""
    return all(type(aspect) is str and aspect != "error" for aspect in seen) and all(type(x) is str for x in unwaited)


def read_raised(parts: list[Any]) -> Raised:
    """How a rank's function ended, as the rank tells it. Raises WireError where it says nothing."""
    match parts:
        case [str(what), str(source), str(code), str(traceback)] if what.strip() and traceback.strip():
            return Raised(what.strip(), source[:TEXT], code[:TEXT], traceback)
    raise WireError("an error without a text")
