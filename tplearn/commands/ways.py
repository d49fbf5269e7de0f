"""On which ranks and in which way a run goes: none of it changes the curve, so a resumed run may go another way."""

import math
from dataclasses import dataclass

from tplearn.commands.group import number_of_ranks
from tplearn.commands.options import require, require_cut
from tplearn.commands.verify import parse_meshes
from tplearn.llama import LlamaConfig
from tplearn.llama.data_parallel import ENGINES
from tplearn.llama.recipe import Recipe


@dataclass(frozen=True)
class Ways:
    """mesh: (dp, tp), as somebody has `typed` it. data_parallel: who means the gradients over dp."""

    mesh: tuple[int, int]
    typed: str
    data_parallel: str
    sequence_parallel: bool
    snapshot_every: int | None

    @staticmethod
    def of(mesh: str | None, tp: int | None, data_parallel: str, sequence_parallel: bool, every: int | None) -> "Ways":
        """From the options of the command; under torchrun, where neither mesh nor tp is given, one model on all ranks.

        Raises ValueError for values that do not exist, and where torchrun started another number of ranks.
        """
        engines = f"values that work: {', '.join(ENGINES)}"
        require("data-parallel", data_parallel, data_parallel in ENGINES, engines)
        require("snapshot-every", every, every is None or every >= 1, "numbers from 1 work")
        if mesh is None:
            sizes, typed = (1, number_of_ranks(tp, "tp")), f"--tp {tp}" if tp else "torchrun"
        else:
            require("mesh", mesh, tp is None, "--tp says the same in another way; one of the two works")
            require("mesh", mesh, "," not in mesh, "one mesh of dp x tp works, such as 2x2")
            (sizes,), typed = parse_meshes(mesh), f"--mesh {mesh}"
            number_of_ranks(math.prod(sizes), "mesh")
        return Ways(sizes, typed, data_parallel, sequence_parallel, every)

    def require_fit(self, config: LlamaConfig, recipe: Recipe) -> None:
        """Raises ValueError where the mesh does not cut the model, the batch, or with sequence parallelism a window."""
        dp, tp = self.mesh
        require_cut(config, tp, self.typed)
        try:
            recipe.share(dp)
        except ValueError as error:
            raise ValueError(f"{self.typed}: {error}") from None
        if self.sequence_parallel and recipe.length % tp:
            raise ValueError(
                f"--sequence-parallel: --length {recipe.length} cannot be cut over tp = {tp}; multiples of {tp} work"
            )

    def snapshot_steps(self, recipe: Recipe) -> int:
        """Steps between snapshots."""
        return self.snapshot_every or max(1, recipe.steps // 10)
