"""The four measures of agreement, on logits of which the answer is known."""

import pytest
import torch

from tplearn.llama.agreement import agreement


def test_the_same_logits() -> None:
    logits = torch.randn(2, 5, 300)
    judged = agreement(logits, logits)
    assert (judged.max_difference, judged.top_1, judged.top_100) == (0, 1, 1)
    assert judged.pcc == pytest.approx(1) and judged.close


def test_one_word_pushed_down_is_seen_by_top_1_and_hardly_by_pcc() -> None:
    due = torch.randn(4, 5000)
    due[:, 7] = 6.0
    wrong = due.clone()
    wrong[0, 7] = 0.0
    judged = agreement(wrong, due)
    assert judged.pcc > 0.99 and judged.top_1 == 0.75 and not judged.close
    assert judged.top_100 == pytest.approx(1 - 1 / 400)
    assert judged.max_difference == 6


def test_a_permuted_vocabulary_and_a_small_one() -> None:
    due = torch.arange(150.0)[None]
    assert agreement(due.flip(-1), due).top_100 == 0.5  # of the 100 best of 150, 50 are shared
    assert agreement(due.flip(-1), due).pcc == pytest.approx(-1)
    assert agreement(due[:, :60].flip(-1), due[:, :60]).top_100 == 1  # all 60 words are among the best 60


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits of shape \(2, 3\); shape that works: \(2, 4\)"):
        agreement(torch.ones(2, 3), torch.ones(2, 4))
