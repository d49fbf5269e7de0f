"""What wrong times of a collective show: which bytes are sent, by whom, and how often the start is paid."""

from tplearn.checks.exercise import mutants_of


def wrong_seconds(op: str, nbytes: int, p: int, messages: int, alpha: float, beta: float, wrong: str) -> float:
    """The time of a collective, with one thing `wrong`."""
    if wrong == "one rank takes any op" and p == 1:
        return 0.0
    if op not in ("all_reduce", "all_gather", "reduce_scatter") and wrong != "no refusal":
        raise ValueError(f"op = {op!r}")
    if p == 1 and wrong != "one rank pays":
        return 0.0
    rounds = 2 if op == "all_reduce" else 1
    rounds = {"one round for all": 1, "two rounds for all": 2, "rounds twice": 2 * rounds}.get(wrong, rounds)
    share = (p - 1) / p
    share = {"whole tensor": 1.0, "1 / p": 1 / p, "n / p": share / p, "to every rank": p - 1.0}.get(wrong, share)
    if wrong == "gather of shards" and op == "all_gather":
        share = p - 1.0
    sent = rounds * share * nbytes * beta
    starts = {
        "one start": 1,
        "no start": 0,
        "start in each step": messages * rounds * (p - 1),
        "start in each round": messages * rounds,
        "start for each rank": messages * p,
    }.get(wrong, messages)
    sent *= {"bits": 8, "whole in each message": messages, "one message's bytes": 1 / messages}.get(wrong, 1)
    return starts * alpha + sent


BYTES = "the bytes that one rank sends on a ring."
STARTS = "what α is multiplied by."
MUTANTS = mutants_of(
    wrong_seconds,
    (
        "n / p",
        "You divided by p once more. Each step of the ring does send n / p bytes, and there are p − 1 steps a round: "
        "(p − 1) / p · n in all.",
        BYTES,
    ),
    (
        "1 / p",
        "You counted one step of the ring, n / p bytes. A round has p − 1 of them.",
        BYTES,
    ),
    (
        "whole tensor",
        "You sent n bytes a round. A rank does not send the chunk that it ends up with, or began with: (p − 1) / p of "
        "n. At p = 2 that is half.",
        BYTES,
    ),
    (
        "to every rank",
        "You sent everything to each of the other p − 1 ranks. On a ring a rank sends (p − 1) / p of n in a round, "
        "which hardly grows with p.",
        BYTES,
    ),
    (
        "rounds twice",
        "Yours sends twice what is due, in every op. An all-reduce is two rounds of (p − 1) / p · n, the others are "
        "one.",
        BYTES,
    ),
    (
        "one round for all",
        "Your all-reduce sends as much as one of its halves. It is a reduce-scatter and an all-gather, one after the "
        "other.",
        "all_reduce.",
    ),
    (
        "two rounds for all",
        "Your all_gather and reduce_scatter send as much as an all-reduce. Each is one half of it.",
        "the ops that are not all_reduce.",
    ),
    (
        "gather of shards",
        "You took nbytes for one rank's shard in all_gather. Here n is the whole tensor, the one that every rank has "
        "in the end; a shard is n / p.",
        "all_gather.",
    ),
    ("one rank pays", "One rank has nobody to wait for and nothing to send: 0 seconds, without α.", "p = 1."),
    ("one start", "You paid α once. Each of the messages is a collective of its own, and starts anew.", STARTS),
    ("no start", "α is not in your sum. Each message pays it once.", STARTS),
    (
        "start in each step",
        "You paid α in each step of the ring. α was fitted to whole collectives, all of whose steps are in it already.",
        STARTS,
    ),
    (
        "start in each round",
        "You paid α twice in an all-reduce. α was fitted to whole collectives: once for each message.",
        STARTS,
    ),
    ("start for each rank", "You paid α once for each rank. All of them start at the same time.", STARTS),
    (
        "whole in each message",
        "You sent n bytes in each message. n is the whole tensor, and the messages are its parts.",
        "what the bytes are multiplied by.",
    ),
    (
        "one message's bytes",
        "You sent the bytes of one message only. All of them are sent, one after the other.",
        "what the bytes are divided by.",
    ),
    ("bits", "You counted bits: the second term is 8 times too large. β is seconds per byte.", "the unit of n."),
    (
        "no refusal",
        "You gave a time for an op that the task does not name. A ValueError is due, also on one rank.",
        "broadcast.",
    ),
    (
        "one rank takes any op",
        "On one rank you give a time also for an op that the task does not name. A ValueError is due, whatever p is.",
        "what you ask first: the op comes before p = 1.",
    ),
)
