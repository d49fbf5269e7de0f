"""The tokenizer of a model folder."""

from pathlib import Path

from tokenizers import Tokenizer

from tplearn.llama.files import TOKENIZER, damaged, model_folder, require_file, there


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer.json of a Hugging Face folder. Raises ValueError where there is none, or it is damaged."""
    path = model_folder(folder) / TOKENIZER
    if not there(path):
        raise ValueError(
            f"{path.parent} has no {TOKENIZER}; token ids work, and a folder that "
            "transformers' AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) has completed"
        )
    require_file(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no type of its own for this
        raise damaged(path, error) from None
