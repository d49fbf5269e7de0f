"""`tplearn plan` by the cost model: from what was typed to a question, and from its answer to what is shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tplearn.commands import plan_json, tables_plan
from tplearn.commands.options import require
from tplearn.commands.plan_explain import explain_training
from tplearn.commands.plan_explain_serve import explain_serving
from tplearn.commands.plan_model import find_shape
from tplearn.commands.plan_question import ServeQuestion, TrainQuestion
from tplearn.commands.plan_serve import plan_serving
from tplearn.commands.plan_train import plan_training
from tplearn.planning import find_accelerator

PURPOSES = ("train", "serve")
PICTURES = (".svg", ".png")
MOST = 1000  # layouts that are shown


@dataclass(frozen=True)
class Show:
    """What is printed and drawn. Raises ValueError for a number of layouts or a picture that cannot be."""

    top: int = 5
    explain: bool = False
    as_json: bool = False
    picture: Path | None = None

    def __post_init__(self) -> None:
        require("top", self.top, 1 <= self.top <= MOST, f"numbers from 1 to {MOST} work")
        if self.picture is not None:
            kind, folder = self.picture.suffix.lower(), self.picture.parent
            require("picture", self.picture, kind in PICTURES, f"names that end in {' or '.join(PICTURES)} work")
            require("picture", self.picture, folder.is_dir(), f"there is no folder {folder}; one that is there works")


def ask(
    model: str,
    option: str,
    purpose: str,
    common: Mapping[str, object],
    training: Mapping[str, object],
    serving: Mapping[str, object],
) -> TrainQuestion | ServeQuestion:
    """The question, of options by name; None for those that were not typed.

    Raises ValueError, in one sentence, for a value that cannot work, and for an option of the other purpose.
    """
    require("for", purpose, purpose in PURPOSES, f"values that work: {', '.join(PURPOSES)}")
    for name, value in (serving if purpose == "train" else training).items():
        require(name, value, value is None, f"--for {purpose} does not take it")
    shape = find_shape(model, option)
    if common["gpus"] is None:
        raise ValueError("--gpus is missing: how many accelerators there are, such as --gpus 8")
    try:
        accelerator = find_accelerator(common["gpu"] or "H100")
    except ValueError as error:
        raise ValueError(f"--gpu {common['gpu']}: {error}") from None
    words = {"gpus": "gpus", "seq": "sequence", "by": "rank_by", "tp": "tp", "pp": "pp", "price": "price", "cp": "cp"}
    words |= {name: name.replace("-", "_") for name in (*training, *serving)}
    typed = {**common, **training, **serving}
    given = {word: typed[name] for name, word in words.items() if typed[name] is not None}
    kind = TrainQuestion if purpose == "train" else ServeQuestion
    return kind(shape=shape, accelerator=accelerator, **given)


def show(question: TrainQuestion | ServeQuestion, wanted: Show) -> None:
    """Prints the answer, and draws it. Raises ValueError where nothing fits."""
    if isinstance(question, TrainQuestion):
        plan = plan_training(question)
        lines = explain_training(plan.job, plan.ranked[0], question.accelerator) if wanted.explain else None
        make, table = plan_json.train_object, tables_plan.show_training
    else:
        plan = plan_serving(question)
        lines = explain_serving(question, plan.ranked[0]) if wanted.explain else None
        make, table = plan_json.serve_object, tables_plan.show_serving
    if wanted.picture is not None:
        from tplearn.commands import plan_picture

        training = isinstance(question, TrainQuestion)
        draw = plan_picture.draw_training if training else plan_picture.draw_serving
        draw(plan, wanted.top, wanted.picture)
    if wanted.as_json:
        print(json.dumps(make(plan, wanted.top, lines), indent=2, ensure_ascii=False))
        return
    console = Console()
    table(plan, wanted.top, console)
    if lines is not None:
        tables_plan.show_lines(lines, console)
