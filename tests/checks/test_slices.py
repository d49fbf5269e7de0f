"""What a wrong tensor is made of, where no mutant is like it: slices in other places, zeros, another rank's tensor."""

import pytest
import torch
from torch import Tensor

from tplearn.checks import find_exercise, judge
from tplearn.checks.clues import clues
from tplearn.checks.leaf import Leaf
from tplearn.checks.traffic import Traffic
from tplearn.ranks import Row
from tplearn.simulated import Ring

TP = 3
WHOLE = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SHARDS = list(WHOLE.chunk(TP, dim=1))
TWO_SUMS = torch.stack([SHARDS[0] + SHARDS[1], SHARDS[1] + SHARDS[2]])


def everywhere(tensor: Tensor) -> list[Tensor]:
    return [tensor] * TP


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        (
            [torch.cat([shard] * TP, 1) for shard in SHARDS],
            everywhere(WHOLE),
            "cut rank 0's along dim 1 into 3 slices: they are slices 0, 0, 0 of the right one. Is one tensor",
        ),
        (
            [torch.cat(SHARDS[rank:] + SHARDS[:rank], 1) for rank in range(TP)],
            everywhere(WHOLE),
            "cut rank 1's along dim 1 into 3 slices: they are slices 1, 2, 0 of the right one.",
        ),
        (
            everywhere(torch.cat([SHARDS[0], 0 * SHARDS[1], SHARDS[2]], 1)),
            everywhere(WHOLE),
            "they are slices 0, zeros, 2 of the right one.",
        ),
        (
            [WHOLE * ((torch.arange(36).reshape(3, 12) ** 2 // 5 + rank) % 2) for rank in range(TP)],
            everywhere(WHOLE),
            "Wherever yours is not zero, it is right",
        ),
        (everywhere(torch.cat([WHOLE, 0 * SHARDS[0]], 1)), everywhere(WHOLE), "Without its zeros, yours is the right"),
        (everywhere(torch.cat([WHOLE, WHOLE], 1)), everywhere(WHOLE), "begins with all of the right one, and has more"),
        (everywhere(WHOLE[:, 2:]), everywhere(WHOLE), "only the last part of what is due along dim 1"),
        ([SHARDS[0], SHARDS[1], SHARDS[0]], SHARDS, "On tp = 3, rank 2 has what is due on rank 0."),
        (everywhere(SHARDS[0]), everywhere(SHARDS[2]), "result is made of rank 0's, where rank 2's is due"),
        (
            everywhere(torch.stack([TWO_SUMS[0], TWO_SUMS[1] / 2])),
            everywhere(TWO_SUMS),
            "row 1 of rank 0's result is made of 0.5 × rank 1's + 0.5 × rank 2's, where rank 1's + rank 2's is due.",
        ),
    ],
)
def test_a_clue_says_what_a_wrong_tensor_is_made_of(got: list[Tensor], want: list[Tensor], says: str) -> None:
    found = " ".join(clues([Leaf(TP, got, want, {"x": SHARDS})]))
    assert says in found, found


def test_a_clue_is_silent_where_a_slice_is_of_no_kind() -> None:
    found = " ".join(clues([Leaf(TP, everywhere(torch.cat([SHARDS[1] + 1, *SHARDS[1:]], 1)), everywhere(WHOLE), {})]))
    assert "slices" not in found and "Wherever" not in found


def test_an_excess_of_bytes_is_told_in_messages() -> None:
    rows = [Row(0, k, "send", group=(0, 1), bytes=24, peer=1) for k in range(3)]
    complaint = Traffic(bytes_only=True).complaint(rows, rows[:2])
    assert complaint is not None
    assert complaint.endswith("It sent 3 messages of 24 bytes, where 2 messages of 24 bytes will do.")


def test_messages_that_are_cut_in_another_way_show_the_same_mistake() -> None:
    """Where only bytes count: all that a rank holds goes out in each step, chunk by chunk."""

    def ring_all_gather(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
        p = ring.world_size
        held = [{rank: chunk} for rank, chunk in enumerate(chunks)]
        for _ in range(p - 1):
            outgoing = [list(mine.items()) for mine in held]
            for rank in range(p):
                for _, chunk in outgoing[rank]:
                    ring.send(rank, (rank - 1) % p, chunk)
            for rank in range(p):
                right = (rank + 1) % p
                held[rank] |= {index: ring.recv(right, rank) for index, _ in outgoing[right]}
        return [torch.cat([mine[index] for index in range(p)]) for mine in held]

    verdict = judge(find_exercise("ring_all_gather"), ring_all_gather)
    assert verdict.misconception == "everything so far in every step", str(verdict)


def test_a_gradient_that_is_none_is_told_why() -> None:
    def detached(x: Tensor, group: object) -> Tensor:
        total = x.detach().clone()
        torch.distributed.all_reduce(total, group=group)
        return total.requires_grad_()

    verdict = " ".join(str(judge(find_exercise("reduce_from_group"), detached)).split())
    assert "No gradient comes back: it does not enter the result there, or the graph is cut." in verdict
