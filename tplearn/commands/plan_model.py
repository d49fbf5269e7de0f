"""The model that `tplearn plan` is asked about: a public name, or the config.json of a Hugging Face folder.

No torch is loaded here, so that a plan is there at once.
"""

import json
from difflib import get_close_matches
from pathlib import Path

from tplearn.planning import MODELS, ModelShape
from tplearn.planning.fields import Fields
from tplearn.planning.models import shape_arguments

CONFIG = "config.json"


def known_name(typed: str, option: str = "--model", *, or_else: str = "") -> str:
    """A public model's name as `MODELS` writes it, for one in any case, also behind an owner ("meta-llama/...").

    Raises ValueError for one that is not known, with the names that work and those that are near; `or_else` says what
    else works.
    """
    known = {name.lower(): name for name in MODELS}
    name = typed.strip().rsplit("/", 1)[-1].lower()
    if name not in known:
        near = get_close_matches(name, known, n=2, cutoff=0.6)
        meant = f"; did you mean {' or '.join(known[one] for one in near)}?" if near else ""
        raise ValueError(f"{option} {typed}: models that work: {', '.join(MODELS)}{or_else}{meant}")
    return known[name]


def find_shape(typed: str, option: str = "--model") -> ModelShape:
    """The shape of a public model, of a model folder, or of a config.json.

    Raises ValueError where it is none of them, and for a file that cannot be read or says what is not supported.
    """
    path = Path(typed).expanduser()
    if typed.lower() in {name.lower() for name in MODELS}:
        return MODELS[known_name(typed)]
    if path.exists():
        return _read(path / CONFIG if path.is_dir() else path)
    is_path = path.is_absolute() or path.suffix == ".json" or typed.startswith(".")
    if is_path:
        raise ValueError(f"{option} {typed}: it does not exist; a folder with a {CONFIG}, or that file, works")
    return MODELS[known_name(typed, option, or_else=f", or a folder with a {CONFIG}")]


def _read(path: Path) -> ModelShape:
    if not path.is_file():
        raise ValueError(f"{path.parent} is no model folder: it has no {CONFIG}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object ({{…}}), as a {CONFIG} does")
    fields = Fields(content, path)
    return fields.build(ModelShape, **shape_arguments(fields), name=path.resolve().parent.name)
