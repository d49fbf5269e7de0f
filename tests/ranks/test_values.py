"""What travels to ranks and back: functions that use what cloudpickle alone cannot send."""

import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import ones

from tplearn import run_ranks


def test_a_function_that_uses_dist_and_the_word_config() -> None:
    run = run_ranks(lambda sizes: (dist.get_rank(), sizes.config), 2, type("Sizes", (), {"config": 3}))
    assert run.values == [(0, 3), (1, 3)]


def test_a_function_of_a_notebook_that_uses_a_class_written_in_rust(tmp_path) -> None:  # noqa: ANN001
    save_file({"a": ones(3)}, tmp_path / "x.safetensors")

    def read() -> int:
        with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
            return len(file.get_tensor("a"))

    assert run_ranks(read, 2).values == [3, 3]
