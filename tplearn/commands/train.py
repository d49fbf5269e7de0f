"""`tplearn train`: a tokenizer and a Llama from text, on a mesh of ranks, into a Hugging Face folder."""

import math
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from tplearn.commands.group import is_first, on_ranks, require_device
from tplearn.commands.options import require, require_seed
from tplearn.commands.progress import terminal
from tplearn.commands.run_folder import Plan, RunFolder, digest
from tplearn.commands.train_log import read_log
from tplearn.commands.train_on_ranks import Job, Texts, train_on_ranks
from tplearn.commands.ways import Ways
from tplearn.llama import LlamaConfig
from tplearn.llama.corpus import files_below, standard_library, token_stream, train_tokenizer
from tplearn.llama.recipe import Recipe

# Eight heads, so that it can be cut over eight ranks; 3.2 million parameters.
TINY = LlamaConfig(
    hidden_size=192,
    intermediate_size=512,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=4,
    vocab_size=4096,
    max_position_embeddings=256,
    tie_word_embeddings=True,
    bos_token_id=0,
    eos_token_id=(0,),
)
DTYPES = ("float32", "float64")


def begin(
    folder: RunFolder, ways: Ways, data: Path | None, config: LlamaConfig, recipe: Recipe, dtype: str
) -> tuple[Plan, Texts]:
    """A run that begins. Raises ValueError where the folder holds one or a model, the ranks do not cut the model or
    the batch, or there is too little text.
    """
    require("dtype", dtype, dtype in DTYPES, f"values that work: {', '.join(DTYPES)}")
    require("length", recipe.length, recipe.length <= config.max_length, f"up to {config.limit} work")
    ways.require_fit(config, recipe)
    folder.require_new()
    texts, held = _read(data)
    tokenizer = train_tokenizer(texts, config.vocab_size)
    stream = token_stream(tokenizer, texts)
    enough = f"the text has {len(stream)} tokens; shorter windows work, or more text"
    require("length", recipe.length, recipe.length < len(stream), enough)
    windows = (len(stream) - 1) // recipe.length
    enough = f"the text has {windows} windows of {recipe.length} tokens; up to so many work, or more text"
    require("batch", recipe.batch, recipe.batch <= windows, enough)
    config = replace(config, vocab_size=tokenizer.get_vocab_size())
    return Plan(config, recipe, data, digest(stream), tokenizer.to_str(), dtype), Texts(stream, held)


def go_on(folder: RunFolder, ways: Ways) -> tuple[Plan, Texts]:
    """A run that was begun. Raises ValueError where there is none, it is finished, its text has changed, or the ranks
    do not cut it.
    """
    folder.require_unfinished()
    plan = Plan.read(folder)
    ways.require_fit(plan.config, plan.recipe)
    texts, held = _read(plan.data)
    stream = token_stream(Tokenizer.from_str(plan.words), texts)
    plan.require_same(stream)
    return plan, Texts(stream, held)


def train_folder(job: Job, texts: Texts, device: str) -> dict:
    """Train and write everything into the folder; returns what training.json holds."""
    require_device(device)
    job.folder.make()
    told = on_ranks(train_on_ranks, math.prod(job.ways.mesh), device, job, texts, terminal())
    if is_first():
        _draw(job.folder)
    return told


def recipe_of(**options: float | None) -> Recipe:
    """From the options of the command, None where none was typed. Raises ValueError in their words."""
    typed = {name: value for name, value in options.items() if value is not None}
    for name in ("steps", "batch", "length", "accumulate"):
        require(name, typed.get(name), typed.get(name, 1) >= 1, "numbers from 1 work")
    require("dropout", typed.get("dropout"), 0 <= typed.get("dropout", 0) < 1, "numbers from 0 up to, but not, 1 work")
    require_seed(typed.get("seed", 0))
    recipe = Recipe(**typed)
    return replace(recipe, warmup=min(recipe.warmup, recipe.steps // 10))  # a short run wants a short warm-up


def _read(data: Path | None) -> tuple[list[str], list[str]]:
    """(texts to train on, held-out texts): of a folder every tenth is held out."""
    if data is None:
        return standard_library()
    texts = files_below(data)
    held = texts[9::10] or texts[-1:]
    return [text for text in texts if text not in held] or texts, held


def _draw(folder: RunFolder) -> None:
    """The curves of the log, as a picture beside it."""
    from tplearn.show.curves import training_curves
    from tplearn.show.style import save_svg

    title = "Loss, held-out bits a byte and tokens a second of a training run, by step"
    save_svg(training_curves({"": read_log(folder.log)}), folder.curves, title)
